"""Hits and misses of each class or label over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from multilearn.metrics.items import NOT_COUNTED, ClassItems, LabelItems, require_classes
from multilearn.protocols import ArrayOps, Measured, State, Tensor

__all__ = ["Array", "Counts", "added", "of_classes", "of_labels", "ratio", "top_ids"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Counts:
    """For each class: items that are of it and found to be (`hits`), found to be (`predicted`), that are (`actual`),
    and that count at all (`total`). Floats that are whole numbers, (classes,)."""

    hits: Array
    predicted: Array
    actual: Array
    total: Array

    @classmethod
    def of(cls, state: State) -> Counts:
        hits = np.asarray(state["hits"], np.float64)
        total = np.broadcast_to(np.asarray(state["total"], np.float64), hits.shape)
        return cls(hits, np.asarray(state["predicted"], np.float64), np.asarray(state["actual"], np.float64), total)

    @property
    def present(self) -> Array:
        """Which classes occur, in the targets or in the predictions."""
        return (self.predicted + self.actual) > 0

    def summed(self) -> Counts:
        """As if all classes were one."""
        return Counts(*(np.sum(x, keepdims=True) for x in (self.hits, self.predicted, self.actual, self.total)))

    def among(self, chosen: Array) -> Counts:
        return Counts(self.hits[chosen], self.predicted[chosen], self.actual[chosen], self.total[chosen])


def ratio(part: Array, whole: Array) -> Array:
    """part / whole; 0 where `whole` is."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def added(state: State | None, measured: Measured) -> State:
    """The sums of everything that was measured, as int64."""
    counts = {name: np.asarray(value).astype(np.int64) for name, value in measured.items()}
    return counts if state is None else {name: state[name] + value for name, value in counts.items()}


def top_ids(ops: ArrayOps, items: ClassItems, k: int, metric: str) -> Tensor:
    """The k most probable classes of each item, (batch, ..., k), the lower id first on ties."""
    require_classes(metric, items, k)
    return ops.expand_dims(ops.argmax(items.logits), -1) if k == 1 else ops.top_k(items.logits, k)


def of_classes(ops: ArrayOps, items: ClassItems, found: Tensor, background: bool = True) -> Mapping[str, Tensor]:
    """The measures of `Counts`, from the classes that each item is found to be of, (batch, ..., k).

    Without `background` there is no class 0.
    """
    among = ops.greater(ops.sum(ops.equal(found, ops.expand_dims(items.targets, -1)), axis=-1), 0)
    if items.counted is not None:
        found = ops.where(ops.expand_dims(items.counted, -1), found, NOT_COUNTED)
    if not background:
        found, items = ops.subtract(found, 1), replace(items, targets=ops.subtract(items.targets, 1))
    classes = items.classes if background else items.classes - 1
    return {
        "hits": ops.tally(items.only(ops, ops.where(among, items.targets, NOT_COUNTED)), classes),
        "predicted": ops.tally(found, classes),
        "actual": ops.tally(items.only(ops, items.targets), classes),
        "total": ops.size(items.targets) if items.counted is None else ops.sum(items.counted),
    }


def of_labels(ops: ArrayOps, items: LabelItems, threshold: float) -> Mapping[str, Tensor]:
    """The measures of `Counts` for each label, which is found to be true if its score is above the threshold."""
    found = ops.greater(items.scores(ops), threshold)
    return {
        "hits": items.per_label(ops, ops.both(found, items.true)),
        "predicted": items.per_label(ops, found),
        "actual": items.per_label(ops, items.true),
        "total": items.per_label(ops, ops.either(items.true, ops.invert(items.true))),
    }
