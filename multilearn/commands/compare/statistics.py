"""How far two numbers are apart, and of numbers over several seeds where the true mean is likely to be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CONFIDENCE", "EXTRA", "Spread", "absolute", "quantile", "relative", "spread"]

CONFIDENCE = 0.95
EXTRA = "multilearn[stats]"


@dataclass(frozen=True)
class Spread:
    """`count` numbers, independent and about normally distributed: their `mean`, their sample standard `deviation`,
    s = sqrt(sum (x - mean)^2 / (count - 1)), and the 95 % confidence interval of the mean from `low` to `high`,

    mean -+ t * s / sqrt(count), t the 0.975 quantile of Student's distribution with count - 1 degrees of freedom.

    None for what a single number does not tell, and for the interval where SciPy is not installed.
    """

    count: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None

    @property
    def apart_from_zero(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def spread(numbers: Sequence[float]) -> Spread:
    """Of one finite number or more."""
    count, mean = len(numbers), statistics.fmean(numbers)
    if count < 2:
        return Spread(count, mean, None, None, None)
    deviation = statistics.stdev(numbers)
    t = quantile(count - 1)
    if t is None:
        return Spread(count, mean, deviation, None, None)
    half = t * deviation / math.sqrt(count)
    return Spread(count, mean, deviation, mean - half, mean + half)


def quantile(freedom: int) -> float | None:
    """The 0.975 quantile of Student's t distribution with `freedom` degrees of freedom; None without SciPy."""
    try:
        from scipy.special import stdtrit
    except ImportError:
        return None
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def absolute(a: float | str, b: float | str) -> float:
    """|a - b|; 0 for equal values and NaN twice, infinite for other texts and where one of them is not finite."""
    if a == b or (a != a and b != b):
        return 0.0
    if isinstance(a, str) or isinstance(b, str) or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b)


def relative(a: float | str, b: float | str) -> float:
    """|a - b| / max(|a|, |b|); 0 and infinite where `absolute` is.

    >>> relative(1.0, 2.0), relative(0.0, 0.0), relative(math.nan, 1.0)
    (0.5, 0.0, inf)
    """
    difference = absolute(a, b)
    return difference if difference in (0.0, math.inf) else difference / max(abs(float(a)), abs(float(b)))
