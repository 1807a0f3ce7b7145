"""F-beta: precision and recall in one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from multilearn.arguments import not_negative, settle
from multilearn.metrics.counts import Array, Counts, CountsMetric, ratio
from multilearn.metrics.names import setting

__all__ = ["FBetaScore"]


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
        return self._named(setting("beta", self.beta))

    def of_each(self, counts: Counts) -> Array:
        square = self.beta**2
        return ratio((1 + square) * counts.hits, square * counts.actual + counts.predicted)
