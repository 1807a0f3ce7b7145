"""Hits and misses of each class or label over an epoch, and the metrics that are a function of these counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from multilearn.arguments import choice, optional_whole, probability, whole
from multilearn.errors import ConfigurationError
from multilearn.metrics.items import (
    NOT_COUNTED,
    ClassItems,
    LabelItems,
    binary_items,
    class_items,
    label_items,
    require_classes,
)
from multilearn.metrics.names import named
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = [
    "Array",
    "Counts",
    "CountsMetric",
    "ModalMetric",
    "Precision",
    "Recall",
    "Specificity",
    "added",
    "of_classes",
    "of_labels",
    "ratio",
    "top_ids",
]

Array = np.ndarray[Any, Any]

MODES = ("binary", "multiclass", "multilabel")
AVERAGES = ("micro", "macro", "weighted")


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


@dataclass(frozen=True, kw_only=True)
class CountsMetric(ABC):
    """A function of hits and misses, with these settings:

    `mode`: `"binary"` (one label, or class 1 of two classes), `"multiclass"` (one class out of several) or
    `"multilabel"`. `threshold` (binary, multilabel; default 0.5): a label is found true if its score, a probability,
    is above. `top_k` (multiclass; default 1): an item is found to be of each of its k most probable classes.
    `average` (multiclass, multilabel; default macro): `"micro"` counts all classes as one; `"macro"` is the mean
    over classes, `"weighted"` the mean weighted by how many items are of each. As in scikit-learn, the mean over
    classes is over those that occur in targets or predictions, that over labels over all; a denominator of 0 gives 0.
    `ignore_index`: items (labels) with this target are counted nowhere, and nor are those of weight zero.
    """

    mode: str = "binary"
    threshold: float | None = None
    top_k: int | None = None
    average: str | None = None
    ignore_index: int | None = None

    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def __post_init__(self) -> None:
        kind, mode = type(self).__name__, choice(f"{type(self).__name__} has a mode", self.mode, MODES)
        given = {"threshold": self.threshold, "top_k": self.top_k, "average": self.average}
        alien = {"binary": ("top_k", "average"), "multiclass": ("threshold",), "multilabel": ("top_k",)}[mode]
        for name in alien:
            if given[name] is not None:
                raise ConfigurationError(
                    f"{kind} has no {name} where the mode is {mode}.",
                    received=repr(given[name]),
                    remedy="Leave it out.",
                )
        settings: dict[str, Any] = {"ignore_index": optional_whole(f"The ignore_index of {kind}", self.ignore_index)}
        if mode == "multiclass":
            settings["top_k"] = whole(f"The top_k of {kind}", 1 if self.top_k is None else self.top_k, 1)
        else:
            settings["threshold"] = probability(
                f"The threshold of {kind}", 0.5 if self.threshold is None else self.threshold
            )
        if mode != "binary":
            average = "macro" if self.average is None else self.average
            settings["average"] = choice(f"{kind} has an average over classes", average, AVERAGES)
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        return self._named()

    def _named(self, *words: str) -> str:
        modal = [self.mode] if self.average is None else [self.mode, self.average]
        return named(
            type(self).__name__,
            *words,
            *modal,
            threshold=None if self.threshold == 0.5 else self.threshold,
            top_k=None if self.top_k == 1 else self.top_k,
            ignore_index=self.ignore_index,
        )

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if self.mode == "multiclass":
            items = class_items(ops, output, self.name, self.ignore_index)
            return of_classes(ops, items, top_ids(ops, items, self.top_k or 1, self.name))
        seen = binary_items if self.mode == "binary" else label_items
        threshold = 0.5 if self.threshold is None else self.threshold
        return of_labels(ops, seen(ops, output, self.name, self.ignore_index), threshold)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added(state, measured)

    def entry(self, state: State) -> Entry:
        counts = Counts.of(state)
        if self.average == "micro":
            counts = counts.summed()
        elif self.mode == "multiclass":
            counts = counts.among(counts.present)
        values = self.of_each(counts)
        if self.average == "weighted":
            return Entry(float(ratio(np.sum(values * counts.actual), np.sum(counts.actual))))
        return Entry(float(np.mean(values)) if values.size else 0.0)

    @abstractmethod
    def of_each(self, counts: Counts) -> Array:
        """The value for each class on its own."""


@dataclass(frozen=True, kw_only=True)
class ModalMetric(CountsMetric):
    """A `CountsMetric` without settings of its own, made for one of the three modes."""

    @classmethod
    def binary(cls, threshold: float = 0.5, *, ignore_index: int | None = None) -> Self:
        """Of one label, or of class 1 out of two classes: found if its score is above `threshold`."""
        return cls(mode="binary", threshold=threshold, ignore_index=ignore_index)

    @classmethod
    def multiclass(cls, top_k: int = 1, average: str = "macro", *, ignore_index: int | None = None) -> Self:
        """Of one class out of several: found if it is among the `top_k` most probable."""
        return cls(mode="multiclass", top_k=top_k, average=average, ignore_index=ignore_index)

    @classmethod
    def multilabel(cls, threshold: float = 0.5, average: str = "macro", *, ignore_index: int | None = None) -> Self:
        """Of several labels: each found if its score is above `threshold`."""
        return cls(mode="multilabel", threshold=threshold, average=average, ignore_index=ignore_index)


@dataclass(frozen=True, kw_only=True)
class Precision(ModalMetric):
    """hits / (hits + false alarms), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Precision.multiclass(top_k=2, average="micro").name
    'Precision(multiclass, micro, top_k=2)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.predicted)


@dataclass(frozen=True, kw_only=True)
class Recall(ModalMetric):
    """hits / (hits + misses), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Recall.binary(threshold=0.3).name
    'Recall(binary, threshold=0.3)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.actual)


@dataclass(frozen=True, kw_only=True)
class Specificity(ModalMetric):
    """right rejections / (right rejections + false alarms), with counts summed over the epoch: the recall of items
    that are *not* of a class. See `CountsMetric` for the settings.

    >>> Specificity.multilabel().name
    'Specificity(multilabel, macro)'
    """

    def of_each(self, counts: Counts) -> Array:
        others = counts.total - counts.actual
        return ratio(others - (counts.predicted - counts.hits), others)
