"""Precision, recall and what else is a function of the hits and misses of each class or label over an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from multilearn.arguments import not_negative, probability, settle, whole
from multilearn.events import Direction
from multilearn.metrics.counts import Array, Counts, added, of_classes, of_labels, ratio, top_ids
from multilearn.metrics.items import ModalMetric, class_items, setting
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["FBetaScore", "Precision", "Recall", "Specificity"]


@dataclass(frozen=True, kw_only=True)
class CountsMetric(ModalMetric, ABC):
    """A function of hits and misses, with these settings:

    `mode`: `"binary"` (one label, or class 1 of two classes), `"multiclass"` (one class out of several) or
    `"multilabel"`. `threshold` (binary, multilabel; default 0.5): a label is found true if its score, a probability,
    is above. `top_k` (multiclass; default 1): an item is found to be of each of its k most probable classes.
    `average` (multiclass, multilabel; default macro): `"micro"` counts all classes as one; `"macro"` is the mean
    over classes, `"weighted"` the mean weighted by how many items are of each. As in scikit-learn, the mean over
    classes is over those that occur in targets or predictions, that over labels over all; a denominator of 0 gives 0.
    `ignore_index`: items (labels) with this target are counted nowhere, and nor are those of weight zero.
    """

    threshold: float | None = None
    top_k: int | None = None

    better: ClassVar[Direction] = "highest"

    averages: ClassVar[tuple[str, ...]] = ("micro", "macro", "weighted")

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = type(self).__name__
        if self.mode == "multiclass":
            self.refuse("threshold")
            settle(self, top_k=whole(f"The top_k of {kind}", 1 if self.top_k is None else self.top_k, 1))
        else:
            self.refuse("top_k")
            threshold = 0.5 if self.threshold is None else self.threshold
            settle(self, threshold=probability(f"The threshold of {kind}", threshold))

    def named(self, *words: str, **settings: float | str | None) -> str:
        threshold = None if self.threshold == 0.5 else self.threshold
        top_k = None if self.top_k == 1 else self.top_k
        return super().named(*words, threshold=threshold, top_k=top_k, **settings)

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if self.mode == "multiclass":
            items = class_items(ops, output, self.name, self.ignore_index)
            return of_classes(ops, items, top_ids(ops, items, self.top_k or 1, self.name))
        return of_labels(ops, self.labels(ops, output), 0.5 if self.threshold is None else self.threshold)

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
class _Plain(CountsMetric):
    """A `CountsMetric` without further settings, made for one of the three modes."""

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
class Precision(_Plain):
    """hits / (hits + false alarms), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Precision.multiclass(top_k=2, average="micro").name
    'Precision(multiclass, micro, top_k=2)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.predicted)


@dataclass(frozen=True, kw_only=True)
class Recall(_Plain):
    """hits / (hits + misses), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Recall.binary(threshold=0.3).name
    'Recall(binary, threshold=0.3)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.actual)


@dataclass(frozen=True, kw_only=True)
class Specificity(_Plain):
    """right rejections / (right rejections + false alarms), with counts summed over the epoch: the recall of items
    that are *not* of a class. See `CountsMetric` for the settings.

    >>> Specificity.multilabel().name
    'Specificity(multilabel, macro)'
    """

    def of_each(self, counts: Counts) -> Array:
        others = counts.total - counts.actual
        return ratio(others - (counts.predicted - counts.hits), others)


@dataclass(frozen=True)
class FBetaScore(CountsMetric):
    """(1 + beta^2) hits / ((1 + beta^2) hits + beta^2 misses + false alarms), with counts summed over the epoch.

    The weighted harmonic mean of precision and recall, in which recall counts `beta` times as much as precision:
    F1 by default. See `CountsMetric` for the other settings. Raises `ConfigurationError` for a negative beta.

    >>> FBetaScore.multiclass(beta=2).name
    'FBetaScore(beta=2, multiclass, macro)'
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        remedy = "1 weighs precision and recall alike, 2 counts recall twice as much."
        settle(self, beta=not_negative("The beta of FBetaScore", self.beta, remedy))

    @classmethod
    def binary(cls, beta: float = 1.0, threshold: float = 0.5, *, ignore_index: int | None = None) -> Self:
        """Of one label, or of class 1 out of two classes: found if its score is above `threshold`."""
        return cls(beta, mode="binary", threshold=threshold, ignore_index=ignore_index)

    @classmethod
    def multiclass(
        cls, beta: float = 1.0, top_k: int = 1, average: str = "macro", *, ignore_index: int | None = None
    ) -> Self:
        """Of one class out of several: found if it is among the `top_k` most probable."""
        return cls(beta, mode="multiclass", top_k=top_k, average=average, ignore_index=ignore_index)

    @classmethod
    def multilabel(
        cls, beta: float = 1.0, threshold: float = 0.5, average: str = "macro", *, ignore_index: int | None = None
    ) -> Self:
        """Of several labels: each found if its score is above `threshold`."""
        return cls(beta, mode="multilabel", threshold=threshold, average=average, ignore_index=ignore_index)

    @property
    def name(self) -> str:
        return self.named(setting("beta", self.beta))

    def of_each(self, counts: Counts) -> Array:
        square = self.beta**2
        return ratio((1 + square) * counts.hits, square * counts.actual + counts.predicted)
