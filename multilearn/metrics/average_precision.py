"""Average precision: how high true items rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multilearn.metrics.curves import Array, CurveMetric, Sweep

__all__ = ["AveragePrecision"]


@dataclass(frozen=True, kw_only=True)
class AveragePrecision(CurveMetric):
    """sum over distinct scores of (recall - recall at the next higher score) * precision, exact, as in scikit-learn.

    See `CurveMetric` for the settings.

    >>> AveragePrecision.binary().name
    'AveragePrecision(binary)'
    """

    def of_each(self, sweep: Sweep) -> Array:
        precision = sweep.hits / np.maximum(sweep.hits + sweep.alarms, 1)
        total = np.sum((sweep.hits - sweep.earlier_hits) * precision, axis=0, where=sweep.ends)
        return np.asarray(total / np.maximum(sweep.hits[-1], 1))
