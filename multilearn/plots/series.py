"""A curve of any length in bounded memory: buckets of equally many points, twice as wide whenever they run out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoundedSeries", "Floats"]

Floats = npt.NDArray[np.float64]

_BUCKETS = 1024  # even, and more than a terminal has columns
_RECENT = 1000
_X, _POINTS, _Y, _FINITE, _LEAST, _GREATEST = range(6)
"""The columns of a bucket: sum of x, points, sum of the finite y, how many of those, the least and the greatest."""


class BoundedSeries:
    """Points in the order of x. Resolution is dropped, never an extreme: each bucket knows its least and greatest y.

    Points come many at a time: one alone costs as much as a thousand.
    """

    def __init__(self) -> None:
        self._table = np.empty((0, 6))
        self._stride = 1
        self._recent = np.empty((2, 0))
        self._folded = 0

    def __len__(self) -> int:
        return self._folded

    def extend(self, x: Floats, y: Floats) -> None:
        """More points, x ascending, and not before the last one; y may be NaN or infinite."""
        if not len(x):
            return
        self._recent = np.concatenate([self._recent, [x, y]], axis=1)[:, -_RECENT:]
        while -(-(self._folded + len(x)) // self._stride) > _BUCKETS:
            self._stride *= 2
            self._table = _joined(self._table, np.arange(len(self._table)) // 2)
        finite = np.isfinite(y)
        rows = np.empty((len(x), 6))
        rows[:, _X], rows[:, _POINTS] = x, 1.0
        rows[:, _Y], rows[:, _FINITE] = np.where(finite, y, 0.0), finite
        rows[:, _LEAST], rows[:, _GREATEST] = np.where(finite, y, np.inf), np.where(finite, y, -np.inf)
        # the last bucket may not be full yet
        full = self._folded // self._stride
        places = np.arange(self._folded, self._folded + len(rows)) // self._stride
        places = np.concatenate([np.full(len(self._table) - full, full), places])
        self._table = np.concatenate([self._table[:full], _joined(np.concatenate([self._table[full:], rows]), places)])
        self._folded += len(rows)

    def all(self) -> tuple[Floats, Floats, Floats, Floats]:
        """x, mean, least and greatest y of each bucket, 1,024 at most; NaN where none of its points is finite."""
        table = self._table
        none = table[:, _FINITE] == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = table[:, _Y] / table[:, _FINITE]
        least, greatest = np.where(none, np.nan, table[:, _LEAST]), np.where(none, np.nan, table[:, _GREATEST])
        return table[:, _X] / table[:, _POINTS], mean, least, greatest

    def recent(self) -> tuple[Floats, Floats]:
        """x and y of the last 1,000 points, as they were."""
        return self._recent[0], self._recent[1]

    @property
    def last(self) -> float | None:
        """The x of the last point, None if there is none."""
        return float(self._recent[0, -1]) if self._folded else None

    @property
    def coarse(self) -> bool:
        """Whether a bucket has more than one point."""
        return self._stride > 1

    def stretch(self, origin: float, factor: float) -> None:
        """Have every x be `origin + (x - origin) * factor`: it was counted in another unit until now."""
        points = self._table[:, _POINTS]
        self._table[:, _X] = origin * points + (self._table[:, _X] - origin * points) * factor
        self._recent[0] = origin + (self._recent[0] - origin) * factor


def _joined(rows: Floats, buckets: npt.NDArray[Any]) -> Floats:
    """The rows of each bucket as one; bucket numbers ascend."""
    if not len(rows):
        return rows
    starts = np.flatnonzero(np.r_[True, np.diff(buckets) > 0])
    sums = np.add.reduceat(rows[:, :_LEAST], starts)
    least = np.minimum.reduceat(rows[:, _LEAST], starts)
    greatest = np.maximum.reduceat(rows[:, _GREATEST], starts)
    return np.column_stack([sums, least, greatest])
