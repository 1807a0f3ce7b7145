"""Accuracy: the share of items whose most probable class is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.arguments import index
from multilearn.metrics.items import class_items
from multilearn.metrics.names import named
from multilearn.metrics.shares import counted_up, measured_share, share_of
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["Accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """correct items / counted items, a fraction.

    Items of weight zero (padding), and those whose target is `ignore_index`, are in neither.
    Needs a `ClassificationOutput`; the first class wins ties. NaN when nothing was counted.

    >>> Accuracy().name, Accuracy(ignore_index=0).name
    ('Accuracy', 'Accuracy(ignore_index=0)')
    """

    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore_index", index("The ignore_index of Accuracy", self.ignore_index))

    @property
    def name(self) -> str:
        return named("Accuracy", ignore_index=self.ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        correct = ops.equal(ops.argmax(items.logits), items.targets)
        return measured_share(ops, correct, items.counted)

    def merge(self, state: State | None, measured: Measured) -> State:
        return counted_up(state, measured)

    def entry(self, state: State) -> Entry:
        return share_of(state)
