"""AUROC: how well scores tell what is true from what is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multilearn.metrics.curves import Array, CurveMetric, Sweep

__all__ = ["AUROC"]


@dataclass(frozen=True, kw_only=True)
class AUROC(CurveMetric):
    """The area under the receiver operating characteristic, exact: the chance that a true item scores above a false
    one, where equal scores count half. Counted in whole numbers, so the order of the items has no say in it.

    See `CurveMetric` for the settings.

    >>> AUROC.multiclass(average="micro").name
    'AUROC(multiclass, micro)'
    """

    def of_each(self, sweep: Sweep) -> Array:
        # trapezoids, doubled
        areas = (sweep.alarms - sweep.earlier_alarms) * (sweep.hits + sweep.earlier_hits)
        doubled = np.sum(areas, axis=0, where=sweep.ends)
        return np.asarray(doubled / np.maximum(2 * sweep.hits[-1] * sweep.alarms[-1], 1))
