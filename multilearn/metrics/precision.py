"""Precision: how much of what is found is right."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.metrics.counts import Array, Counts, ModalMetric, ratio

__all__ = ["Precision"]


@dataclass(frozen=True, kw_only=True)
class Precision(ModalMetric):
    """hits / (hits + false alarms), with counts summed over the epoch; see `CountsMetric` for the settings.

    >>> Precision.multiclass(top_k=2, average="micro").name
    'Precision(multiclass, micro, top_k=2)'
    """

    def of_each(self, counts: Counts) -> Array:
        return ratio(counts.hits, counts.predicted)
