"""What comes out of a comparison: values side by side, how far apart they are, and what is to be said of it.

Of values over several seeds: where their true mean is likely to be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from multilearn.events import Split

__all__ = [
    "ComparedRun",
    "Comparison",
    "Key",
    "Pair",
    "Precondition",
    "Row",
    "Spread",
    "furthest",
    "quantile",
    "relative",
    "spread",
]

CONFIDENCE = 0.95


Key = tuple[Split, str]


@dataclass(frozen=True)
class ComparedRun:
    """One run: its head in the table, where it is, and what it was trained on."""

    head: str
    directory: str
    backends: tuple[str, ...]
    seed: int | None
    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One metric after one epoch: a value per run, and how far apart the furthest two are.

    absolute = max |a - b|, relative = max |a - b| / max(|a|, |b|) over all pairs of runs, 0 for equal values;
    NaN equals NaN and text equals itself, anything else of them is infinitely far apart.
    `items` is what a share is a share of, None for other metrics and where it was not logged.
    """

    split: Split
    metric: str
    unit: str
    epoch: int
    values: tuple[float | str, ...]
    absolute: float
    relative: float
    items: float | None
    within: bool

    @classmethod
    def of(
        cls, key: Key, unit: str, epoch: int, values: tuple[float | str, ...], items: float | None, tolerance: float
    ) -> Row:
        """The row of these values, judged: a share that has `items` by the number of them, all else by `tolerance`."""
        furthest_apart = max(absolute(a, b) for a, b in combinations(values, 2))
        largest = max(relative(a, b) for a, b in combinations(values, 2))
        # the slack is for the rounding of the two quotients, far less than an item
        within = largest <= tolerance if items is None else furthest_apart <= (1 + 1e-6) / items
        return cls(*key, unit, epoch, values, furthest_apart, largest, items, within)

    @property
    def key(self) -> Key:
        return self.split, self.metric

    @property
    def is_text(self) -> bool:
        """Whether any of the values is a text: then there is no measure of how far they are apart."""
        return any(isinstance(value, str) for value in self.values)

    def used(self, tolerance: float) -> float:
        """The difference in units of what is allowed: at most 1 within the tolerance. Comparable between metrics."""
        if self.items is not None:
            return self.absolute * self.items
        return self.relative / tolerance if tolerance else math.inf if self.relative else 0.0

    def between(self, first: int, second: int, tolerance: float) -> Row:
        """The same of two of the runs, judged by what all of them are judged by."""
        values = self.values[first], self.values[second]
        return Row.of(self.key, self.unit, self.epoch, values, self.items, tolerance)


@dataclass(frozen=True)
class Pair:
    """Two of the runs, by their columns: after each epoch the metric in which they are furthest apart (`epochs`), and
    all `texts` that differ."""

    runs: tuple[int, int]
    epochs: tuple[Row, ...]
    texts: tuple[Row, ...]

    @property
    def first_past(self) -> int | None:
        """The first epoch in which something is past the tolerance."""
        return min((row.epoch for row in (*self.epochs, *self.texts) if not row.within), default=None)


@dataclass(frozen=True)
class Precondition:
    """One thing that equal experiments have in common.

    `held`: whether all runs have it in common, None if some run did not record it; `values`: what each run recorded of
    it, in short and in the order of the runs, `"not recorded"` where it did not; `needed`: whether equal runs need it.
    """

    name: str
    held: bool | None
    values: tuple[str, ...]
    needed: bool = True


@dataclass(frozen=True)
class Comparison:
    """What came out. `notes` are printed and change nothing, `obstacles` are why it is not the same experiment.

    `preconditions`: what the runs were to have in common. `first_difference`: where they are not the same, the first
    thing that differs, None if nothing does that was recorded.
    """

    runs: tuple[ComparedRun, ...]
    values: tuple[Row, ...]
    tolerance: float
    notes: tuple[str, ...]
    obstacles: tuple[str, ...]
    preconditions: tuple[Precondition, ...] = ()
    first_difference: str | None = None

    @property
    def same(self) -> bool:
        """All differences are within the tolerance, and nothing is missing."""
        return not self.obstacles and all(row.within for row in self.values)

    def largest(self) -> tuple[Row, ...]:
        """Per split and metric the row with the largest difference, the earliest on ties."""
        by_metric: dict[Key, list[Row]] = {}
        for row in self.values:
            by_metric.setdefault(row.key, []).append(row)
        return tuple(furthest(rows, self.tolerance) for rows in by_metric.values())

    def first_past(self) -> Row | None:
        """The value past the tolerance in the earliest epoch, of several there the worst."""
        past = [row for row in self.values if not row.within]
        earliest = [row for row in past if row.epoch == min(each.epoch for each in past)]
        return furthest(earliest, self.tolerance) if earliest else None

    def pairs(self) -> tuple[Pair, ...]:
        """Every two of the runs."""
        found = []
        for runs in combinations(range(len(self.runs)), 2):
            by_epoch: dict[int, list[Row]] = {}
            for row in self.values:
                by_epoch.setdefault(row.epoch, []).append(row.between(*runs, self.tolerance))
            epochs = tuple(furthest(rows, self.tolerance) for _, rows in sorted(by_epoch.items()))
            texts = tuple(row for _, rows in sorted(by_epoch.items()) for row in rows if row.is_text and not row.within)
            found.append(Pair(runs, epochs, texts))
        return tuple(found)


def furthest(rows: Sequence[Row], tolerance: float) -> Row:
    """The row with the largest difference, of whatever metrics, the first on ties; a text only if there is no number.

    A text that differs is infinitely far apart, and would hide how far the numbers are.
    """

    def distance(row: Row) -> tuple[bool, bool, float, float]:
        return not row.is_text, not row.within, row.used(tolerance), row.relative if row.items is None else 0.0

    return max(rows, key=distance)


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
