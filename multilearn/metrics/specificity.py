"""Specificity: how much of what is not there is not found."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.metrics.counts import Array, Counts, ModalMetric, ratio

__all__ = ["Specificity"]


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
