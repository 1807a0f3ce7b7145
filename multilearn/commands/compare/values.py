"""What comes out of a comparison: values side by side, how far apart they are, and what is to be said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from multilearn.commands.compare.preconditions import Precondition
from multilearn.commands.compare.statistics import absolute, relative
from multilearn.events import Split

__all__ = ["ComparedRun", "Comparison", "Key", "Pair", "Row", "furthest"]

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
        cls,
        key: Key,
        unit: str,
        epoch: int,
        values: tuple[float | str, ...],
        items: float | None,
        tolerance: float,
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
    """Two of the runs, by their columns: after each epoch the metric in which they are furthest apart."""

    runs: tuple[int, int]
    epochs: tuple[Row, ...]

    @property
    def first_past(self) -> int | None:
        """The first epoch in which something is past the tolerance."""
        return next((row.epoch for row in self.epochs if not row.within), None)


@dataclass(frozen=True)
class Comparison:
    """What came out. `notes` are printed and change nothing, `obstacles` are why it is not the same experiment.

    `preconditions`: what the runs were to have in common. `first_difference`: where they are not the same, the first
    thing that differs, None where nothing does that was recorded.
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
            found.append(Pair(runs, epochs))
        return tuple(found)


def furthest(rows: Sequence[Row], tolerance: float) -> Row:
    """The row with the largest difference, of whatever metrics, the first on ties."""
    return max(rows, key=lambda row: (not row.within, row.used(tolerance), row.relative))
