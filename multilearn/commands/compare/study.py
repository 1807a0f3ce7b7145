"""Runs with several seeds: for each seed the comparison of its runs, and over the seeds what came out in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

from multilearn.commands.compare.comparison import Grouping, compare_runs, grouped, opened, unit_of
from multilearn.commands.compare.values import Comparison, Key, Row, Spread, furthest, quantile, spread
from multilearn.errors import DirectoryError, pip_install
from multilearn.events import Split
from multilearn.run.on_disk import RunOnDisk

__all__ = ["Epoch", "Final", "OfSeed", "PairedDifference", "Study", "compare_grouped", "compare_opened"]

_LARGEST = 1e150  # whose square is still finite


@dataclass(frozen=True)
class OfSeed:
    """The runs of one seed. `comparison` is None if there is one run, or none that can be compared."""

    seed: int | None
    backends: tuple[str, ...]
    directories: tuple[str, ...]
    comparison: Comparison | None


@dataclass(frozen=True)
class Epoch:
    """Where two of the names are furthest apart after one epoch, over all seeds and metrics; `texts` that differ."""

    first: str
    second: str
    seed: int | None
    row: Row
    texts: tuple[Row, ...]


@dataclass(frozen=True)
class Final:
    """A metric at the end of the runs, for each name over its seeds."""

    split: Split
    metric: str
    unit: str
    spreads: Mapping[str, Spread]


@dataclass(frozen=True)
class PairedDifference:
    """A metric at the end of the runs: `second` minus `first`, paired by seed.

    `relative`: the size of its mean, relative to the larger mean of the two.
    """

    split: Split
    metric: str
    unit: str
    first: str
    second: str
    spread: Spread
    relative: float


@dataclass(frozen=True)
class Study:
    """What came out. `notes` are printed and change nothing, `obstacles` are why the runs are not the same."""

    backends: tuple[str, ...]
    seeds: tuple[OfSeed, ...]
    finals: tuple[Final, ...]
    differences: tuple[PairedDifference, ...]
    tolerance: float
    notes: tuple[str, ...]
    obstacles: tuple[str, ...]

    @property
    def compared(self) -> tuple[tuple[OfSeed, Comparison], ...]:
        """The seeds whose runs were compared."""
        return tuple((group, group.comparison) for group in self.seeds if group.comparison is not None)

    @property
    def same(self) -> bool:
        """Whether something was compared, and the runs of every seed are the same, and nothing is missing."""
        same = all(comparison.same for _, comparison in self.compared)
        return bool(self.compared) and not self.obstacles and same

    def first_past(self) -> tuple[OfSeed, Row] | None:
        """The value past the tolerance in the earliest epoch, and whose it is."""
        found = [(group, row) for group, each in self.compared if (row := each.first_past()) is not None]
        return min(found, key=lambda pair: pair[1].epoch, default=None)

    def first_difference(self) -> str | None:
        """The first thing that differs, for the first seed whose runs are not the same."""
        found = ((group.seed, comparison.first_difference) for group, comparison in self.compared)
        return next((f"seed {seed}: {said}" for seed, said in found if said is not None), None)

    def epochs(self) -> tuple[Epoch, ...]:
        """For every two names and every epoch, where they are furthest apart."""
        found: dict[tuple[str, str, int], list[tuple[OfSeed, Row]]] = {}
        texts: dict[tuple[str, str, int], list[Row]] = {}
        for group, comparison in self.compared:
            for pair in comparison.pairs():
                first, second = (group.backends[at] for at in pair.runs)
                for row in pair.epochs:
                    key = first, second, row.epoch
                    found.setdefault(key, []).append((group, row))
                    texts.setdefault(key, []).extend(text for text in pair.texts if text.epoch == row.epoch)
        epochs = []
        for key, rows in found.items():
            worst = furthest([row for _, row in rows], self.tolerance)
            seed = next(group.seed for group, row in rows if row is worst)
            epochs.append(Epoch(key[0], key[1], seed, worst, tuple(texts[key])))
        return tuple(epochs)


def compare_grouped(
    directories: Sequence[Path], tolerance: float = 1e-4, prefix: bool = False, ungrouped: bool = False
) -> Comparison | Study:
    """Compare two or more runs; where a backend has several seeds, those of one seed with each other.

    `ungrouped`: all with each other in any case. `prefix`: different numbers of epochs, and seeds that not every
    backend has, are no obstacles. Raises `ConfigurationError` (`DirectoryError`) for what cannot be compared.
    """
    return compare_opened(opened(directories, tolerance), tolerance, prefix, ungrouped)


def compare_opened(
    runs: Sequence[RunOnDisk], tolerance: float, prefix: bool = False, ungrouped: bool = False
) -> Comparison | Study:
    """The same of runs that are open."""
    grouping = None if ungrouped else grouped(runs)
    if grouping is None:
        return compare_runs(runs, tolerance, prefix)
    groups, unlike = [], []
    for seed in grouping.seeds:
        of = grouping.of(seed)
        comparison, why = _compared(seed, list(of.values()), tolerance, prefix)
        unlike += why
        groups.append(OfSeed(seed, tuple(of), tuple(str(run.path) for run in of.values()), comparison))
    missing = list(_missing(grouping))
    values, notes = _finals(grouping, groups)
    if not values and not any(group.comparison for group in groups):
        raise DirectoryError("Nothing in these runs can be compared.", received="; ".join([*unlike, *notes]))
    finals: list[Final] = []
    differences: list[PairedDifference] = []
    for key, found in values.items():
        unit = unit_of(grouping.cells.values(), key)
        finals.append(Final(*key, unit, {name: spread(list(numbers.values())) for name, numbers in found.items()}))
        differences += _differences(grouping.names, key, unit, found)
    if quantile(1) is None:
        notes.append(f"no confidence intervals: SciPy is not installed ({pip_install('stats')})")
    return Study(
        grouping.names,
        tuple(groups),
        tuple(finals),
        tuple(differences),
        tolerance,
        notes=tuple(notes + (missing if prefix else [])),
        obstacles=tuple(unlike + ([] if prefix else missing)),
    )


def _compared(
    seed: int | None, runs: Sequence[RunOnDisk], tolerance: float, prefix: bool
) -> tuple[Comparison | None, list[str]]:
    if len(runs) < 2:
        return None, [f"{run.path} has no finished epoch" for run in runs if not run.epochs]
    try:
        return compare_runs(runs, tolerance, prefix), []
    except DirectoryError as error:
        return None, [f"seed {seed}: {error}"]


def _missing(grouping: Grouping) -> Iterator[str]:
    for name in grouping.names:
        lacking = [str(seed) for seed in grouping.seeds if (seed, name) not in grouping.cells]
        if lacking:
            yield f"no run on {name} with seed {', '.join(lacking)}"


Values = dict[str, dict[int | None, float]]
"""A number for each name and seed."""


def _finals(grouping: Grouping, groups: Sequence[OfSeed]) -> tuple[dict[Key, Values], list[str]]:
    """What every run came to: in the last epoch that all runs of its seed have finished."""
    found: dict[Key, Values] = {}
    ended, notes = {}, []
    for group in groups:
        common = None if group.comparison is None else max(row.epoch for row in group.comparison.values)
        for name, run in grouping.of(group.seed).items():
            if not run.epochs:
                continue
            ended[f"{name} {group.seed}"] = at = max(run.epochs) if common is None else common
            for key, measured in run.epochs[at].items():
                whose = f"{key[0]} {key[1]} of {name} with seed {group.seed}"
                if isinstance(measured.value, str):
                    notes.append(f"{whose} is a text: it is in no mean")
                elif run.repeatable(key[1]) and not abs(measured.value) < _LARGEST:
                    notes.append(f"{whose} is {measured.value:g} in the end: it is in no mean")
                elif run.repeatable(key[1]):
                    found.setdefault(key, {}).setdefault(name, {})[group.seed] = measured.value
    if len(set(ended.values())) > 1:
        ends = ", ".join(f"{whose} {at}" for whose, at in ended.items())
        notes.append(f"the runs do not end in the same epoch ({ends}): each is taken as it ended")
    return dict(sorted(found.items(), key=lambda item: list(Split).index(item[0][0]))), notes


def _differences(names: Sequence[str], key: Key, unit: str, values: Values) -> Iterator[PairedDifference]:
    for first, second in combinations([name for name in names if name in values], 2):
        both = [seed for seed in values[first] if seed in values[second]]
        if both:
            paired = spread([values[second][seed] - values[first][seed] for seed in both])
            larger = max(abs(fmean(values[name][seed] for seed in both)) for name in (first, second))
            relative = abs(paired.mean) / larger if larger else 0.0
            yield PairedDifference(*key, unit, first, second, paired, relative)
