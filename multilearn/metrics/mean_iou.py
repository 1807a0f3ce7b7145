"""Mean IoU: how much of what is found or there is both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multilearn.metrics.counts import Array, Counts
from multilearn.metrics.overlaps import OverlapMetric

__all__ = ["MeanIoU"]


@dataclass(frozen=True)
class MeanIoU(OverlapMetric):
    """|found and true| / |found or true| of each class, with pixels summed over the epoch, averaged over classes.

    See `OverlapMetric` for the settings.

    >>> MeanIoU().name, MeanIoU(ignore_index=255).name
    ('MeanIoU', 'MeanIoU(ignore_index=255)')
    """

    def of_each(self, counts: Counts) -> Array:
        return np.asarray(counts.hits / (counts.predicted + counts.actual - counts.hits))
