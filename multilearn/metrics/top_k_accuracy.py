"""Top-k accuracy: the share of items whose class is among the k most probable ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from multilearn.metrics.arguments import index, whole
from multilearn.metrics.items import class_items, require_classes
from multilearn.metrics.names import named
from multilearn.metrics.shares import counted_up, measured_share, share_of
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["TopKAccuracy"]


@dataclass(frozen=True)
class TopKAccuracy:
    """items whose target is among the `k` largest logits / counted items, a fraction.

    Items of weight zero (padding), and those whose target is `ignore_index`, are in neither. On ties the lower class
    ranks higher, so k = 1 is `Accuracy`. Needs a `ClassificationOutput` of at least `k` classes, else
    `ConfigurationError`. NaN when nothing was counted.

    >>> TopKAccuracy(5).name
    'TopKAccuracy(k=5)'
    """

    k: int
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole("The k of TopKAccuracy", self.k, 1))
        object.__setattr__(self, "ignore_index", index("The ignore_index of TopKAccuracy", self.ignore_index))

    @property
    def name(self) -> str:
        return named("TopKAccuracy", k=self.k, ignore_index=self.ignore_index)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        require_classes(self.name, items, self.k)
        # how many classes rank above the target: no sorting, which is slow where there are many classes
        ids, target = np.arange(items.classes, dtype=np.int32), ops.expand_dims(items.targets, -1)
        logits, own = ops.float32(items.logits), ops.equal(ids, target)
        of_target = ops.expand_dims(ops.sum(ops.where(own, logits, 0.0), axis=-1), -1)
        tied = ops.both(ops.equal(of_target, logits), ops.invert(ops.greater(target, ids)))
        above = ops.invert(ops.either(ops.greater(of_target, logits), tied))
        known = ops.greater(ops.sum(own, axis=-1), 0)
        return measured_share(ops, ops.both(known, ops.greater(self.k, ops.sum(above, axis=-1))), items.counted)

    def merge(self, state: State | None, measured: Measured) -> State:
        return counted_up(state, measured)

    def entry(self, state: State) -> Entry:
        return share_of(state)
