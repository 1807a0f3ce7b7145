"""Medians, spreads, ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

__all__ = ["Spread", "largest_difference", "ratio", "spread_of"]

Spread = dict[str, float]


def spread_of(values: Sequence[float]) -> Spread:
    """Median, smallest and largest, and the half width of the middle half as a share of the median.

    >>> spread_of([4.0, 1.0, 2.0, 3.0, 10.0])
    {'median': 3.0, 'min': 1.0, 'max': 10.0, 'spread': 0.333}
    """
    median = statistics.median(values)
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [median] * 3
    return {
        "median": round(median, 6),
        "min": round(min(values), 6),
        "max": round(max(values), 6),
        "spread": round((quarters[2] - quarters[0]) / 2 / median, 3) if median else 0.0,
    }


def ratio(ours: float, theirs: float) -> float:
    """How many times what they take we take."""
    return ours / theirs if theirs > 0 else math.inf


def largest_difference(pairs: Iterable[tuple[float, float]]) -> float:
    """The largest relative one; infinite where a number is not finite.

    >>> largest_difference([(1.0, 1.0), (2.0, 1.0)])
    0.5
    """
    largest = 0.0
    for a, b in pairs:
        if not (math.isfinite(a) and math.isfinite(b)):
            return math.inf
        if a != b:
            largest = max(largest, abs(a - b) / max(abs(a), abs(b)))
    return largest
