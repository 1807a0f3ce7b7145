"""Shares of items that are predicted right: the most probable class, one of the k most probable, every label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from multilearn.arguments import probability, settle, whole
from multilearn.events import Direction
from multilearn.metrics.items import Parametrized, class_items, label_items, require_classes
from multilearn.metrics.mean import summed
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["Accuracy", "HammingScore", "TopKAccuracy"]


class _Share(Parametrized):
    """Items that are right / items that count; NaN where none does."""

    unit: ClassVar[str] = "share"
    better: ClassVar[Direction] = "highest"
    numeric: ClassVar[bool] = True

    def merge(self, state: State | None, measured: Measured) -> State:
        return summed(state, correct=int(measured["correct"]), count=int(measured["count"]))

    def entry(self, state: State) -> Entry:
        correct, count = state["correct"], state["count"]
        return Entry(correct / count if count else float("nan"), count)


def _measured(ops: ArrayOps, correct: Tensor, counted: Tensor | None) -> Mapping[str, Tensor]:
    """How many are correct, and how many count; None: all do."""
    if counted is None:
        return {"correct": ops.sum(correct), "count": ops.size(correct)}
    return {"correct": ops.sum(ops.both(correct, counted)), "count": ops.sum(counted)}


@dataclass(frozen=True)
class Accuracy(_Share):
    """correct items / counted items, a fraction.

    Items of weight zero (padding), and those whose target is `ignore_index`, are in neither.
    Needs a `ClassificationOutput`; the first class wins ties. NaN when nothing was counted.

    >>> Accuracy().name, Accuracy(ignore_index=0).name
    ('Accuracy', 'Accuracy(ignore_index=0)')
    """

    ignore_index: int | None = None

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = class_items(ops, output, self.name, self.ignore_index)
        correct = ops.equal(ops.argmax(items.logits), items.targets)
        return _measured(ops, correct, items.counted)


@dataclass(frozen=True)
class TopKAccuracy(_Share):
    """items whose target is among the `k` largest logits / counted items, a fraction.

    Items of weight zero (padding), and those whose target is `ignore_index`, are in neither. On ties the lower class
    ranks higher, so k = 1 is `Accuracy`. Needs a `ClassificationOutput` of at least `k` classes, else
    `ConfigurationError`. NaN when nothing was counted.

    >>> TopKAccuracy(5).name
    'TopKAccuracy(k=5)'
    """

    k: int
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, k=whole("The k of TopKAccuracy", self.k, 1))

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
        return _measured(ops, ops.both(known, ops.greater(self.k, ops.sum(above, axis=-1))), items.counted)


@dataclass(frozen=True)
class HammingScore(_Share):
    """labels decided rightly / labels counted, over all items: 1 - the Hamming loss of scikit-learn.

    A label is found true if its score, a probability, is above `threshold`. Labels of items of weight zero, and those
    whose target is `ignore_index`, are in neither. Needs a `MultiLabelOutput`; of one label it is the binary accuracy.
    NaN when nothing was counted.

    >>> HammingScore().name, HammingScore(0.25).name
    ('HammingScore', 'HammingScore(threshold=0.25)')
    """

    threshold: float = 0.5
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, threshold=probability("The threshold of HammingScore", self.threshold))

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        items = label_items(ops, output, self.name, self.ignore_index)
        right = ops.equal(ops.greater(items.scores(ops), self.threshold), items.true)
        return _measured(ops, right, items.counted)
