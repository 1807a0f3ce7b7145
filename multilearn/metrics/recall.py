"""Recall: how much of what is there is found."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.metrics.counts import Array, Counts, ModalMetric, ratio

__all__ = ["Recall"]


@dataclass(frozen=True, kw_only=True)
class Recall(ModalMetric):
    """hits / (hits + misses), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Recall.binary(threshold=0.3).name
    'Recall(binary, threshold=0.3)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.actual)
