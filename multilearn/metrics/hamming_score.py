"""Hamming score: the share of labels that are decided rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.arguments import index, share
from multilearn.metrics.items import label_items
from multilearn.metrics.names import named
from multilearn.metrics.shares import counted_up, measured_share, share_of
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["HammingScore"]


@dataclass(frozen=True)
class HammingScore:
    """labels decided rightly / labels counted, over all items: 1 - the Hamming loss of scikit-learn.

    A label is found true if its score, a probability, is above `threshold`. Labels of items of weight zero, and those
    whose target is `ignore_index`, are in neither. Needs a `MultiLabelOutput`; of one label it is the binary accuracy.
    NaN when nothing was counted.

    >>> HammingScore().name, HammingScore(0.25).name
    ('HammingScore', 'HammingScore(threshold=0.25)')
    """

    threshold: float = 0.5
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", share("The threshold of HammingScore", self.threshold))
        object.__setattr__(self, "ignore_index", index("The ignore_index of HammingScore", self.ignore_index))

    @property
    def name(self) -> str:
        threshold = None if self.threshold == 0.5 else self.threshold
        return named("HammingScore", threshold=threshold, ignore_index=self.ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = label_items(ops, output, self.name, self.ignore_index)
        right = ops.equal(ops.greater(items.scores(ops), self.threshold), items.true)
        return measured_share(ops, right, items.counted)

    def merge(self, state: State | None, measured: Measured) -> State:
        return counted_up(state, measured)

    def entry(self, state: State) -> Entry:
        return share_of(state)
