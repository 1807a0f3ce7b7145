"""Dice: how well what is found and what is there overlap, each of them counted once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multilearn.metrics.counts import Array, Counts
from multilearn.metrics.overlaps import OverlapMetric

__all__ = ["Dice"]


@dataclass(frozen=True)
class Dice(OverlapMetric):
    """2 |found and true| / (|found| + |true|) of each class, with pixels summed over the epoch, averaged over classes.

    See `OverlapMetric` for the settings.

    >>> Dice().name, Dice(average="micro", include_background=False).name
    ('Dice', 'Dice(micro, without background)')
    """

    def of_each(self, counts: Counts) -> Array:
        return np.asarray(2 * counts.hits / (counts.predicted + counts.actual))
