"""Runs side by side: every epoch value, the largest differences, and whether they are the same experiment."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Split
from multilearn.experiments.runs import Measured, Run, open_run

__all__ = ["Column", "Comparison", "Row", "compare"]

Key = tuple[Split, str]


@dataclass(frozen=True)
class Column:
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

    @property
    def excess(self) -> tuple[bool, float]:
        """Orders rows by how bad they are: by what they are judged by."""
        return not self.within, self.relative if self.items is None else self.absolute


@dataclass(frozen=True)
class Comparison:
    """What came out. `notes` are said aloud and change nothing, `obstacles` are why it is not the same experiment."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    tolerance: float
    notes: tuple[str, ...]
    obstacles: tuple[str, ...]

    @property
    def same(self) -> bool:
        """All differences are within the tolerance, and nothing is missing."""
        return not self.obstacles and all(row.within for row in self.rows)

    def largest(self) -> tuple[Row, ...]:
        """Per split and metric the row with the largest difference, the earliest on ties."""
        worst: dict[Key, Row] = {}
        for row in self.rows:
            so_far = worst.setdefault((row.split, row.metric), row)
            if row.excess > so_far.excess:
                worst[row.split, row.metric] = row
        return tuple(worst.values())


def compare(directories: Sequence[Path], tolerance: float = 1e-4, prefix: bool = False) -> Comparison:
    """Compare two or more runs over the epochs that all of them have finished.

    Metrics of the machine, such as its speed, are left out, for equal runs do not agree about them.
    `tolerance` is relative; a share may differ by one item instead. Different epochs are an obstacle unless `prefix`.
    Raises `ConfigurationError` (`DirectoryError`) for what cannot be compared.
    """
    if not tolerance >= 0:
        raise ConfigurationError("The tolerance must be 0 or more.", received=tolerance)
    _check(directories)
    runs = [open_run(path) for path in directories]
    epochs = sorted(set.intersection(*(set(run.epochs) for run in runs)))
    if not epochs:
        told = "; ".join(f"{run.path}: {_spelled(tuple(run.epochs))}" for run in runs)
        raise DirectoryError("The runs have no finished epoch in common.", received=told)
    rows, missing = _rows(runs, epochs, tolerance)
    if not rows:
        raise DirectoryError("The runs have no metric in common.", received="; ".join(missing))
    uneven = _uneven(runs, epochs)
    return Comparison(
        columns=_columns(runs),
        rows=rows,
        tolerance=tolerance,
        notes=tuple(_differences(runs) + (uneven if prefix else [])),
        obstacles=tuple(missing + ([] if prefix else uneven)),
    )


def _check(directories: Sequence[Path]) -> None:
    if len(directories) < 2:
        raise ConfigurationError("A comparison needs two directories or more.", received=len(directories))
    places = [path.resolve() for path in directories]
    if twice := [str(path) for path, place in zip(directories, places, strict=True) if places.count(place) > 1]:
        raise ConfigurationError("A run is not compared with itself.", received=", ".join(twice))


def _rows(runs: Sequence[Run], epochs: Sequence[int], tolerance: float) -> tuple[tuple[Row, ...], list[str]]:
    rows, missing = [], []
    unlike = _of_the_machine(runs)
    found = (key for run in runs for epoch in epochs for key in run.epochs[epoch])
    keys = dict.fromkeys(key for key in found if key[1] not in unlike)
    for key in sorted(keys, key=lambda key: (list(Split).index(key[0]), list(keys).index(key))):
        lacking: dict[str, list[int]] = {}
        for epoch in epochs:
            measured = [run.epochs[epoch].get(key) for run in runs]
            if None not in measured:
                unit = "share" if all(run.unit(key[1]) == "share" for run in runs) else ""
                rows.append(_row(key, unit, epoch, [each for each in measured if each], tolerance))
            for run, each in zip(runs, measured, strict=True):
                if each is None:
                    lacking.setdefault(str(run.path), []).append(epoch)
        missing += [f"{path} has no {key[0]} {key[1]} in {_spelled(tuple(at))}" for path, at in lacking.items()]
    return tuple(rows), missing


def _row(key: Key, unit: str, epoch: int, measured: Sequence[Measured], tolerance: float) -> Row:
    values = tuple(each.value for each in measured)
    absolute = max(_absolute(a, b) for a, b in combinations(values, 2))
    relative = max(_relative(a, b) for a, b in combinations(values, 2))
    counts = [each.items for each in measured if each.items]
    items = max(counts) if unit == "share" and len(counts) == len(measured) else None
    # the slack is for the rounding of the two quotients, far less than an item
    within = relative <= tolerance if items is None else absolute <= (1 + 1e-6) / items
    return Row(*key, unit, epoch, values, absolute, relative, items, within)


def _absolute(a: float | str, b: float | str) -> float:
    if a == b or (a != a and b != b):
        return 0.0
    if isinstance(a, str) or isinstance(b, str) or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b)


def _relative(a: float | str, b: float | str) -> float:
    absolute = _absolute(a, b)
    if absolute in (0.0, math.inf):
        return absolute
    return absolute / max(abs(float(a)), abs(float(b)))


def _uneven(runs: Sequence[Run], common: Sequence[int]) -> list[str]:
    if all(list(run.epochs) == common for run in runs):
        return []
    told = ", ".join(f"{run.path} {len(run.epochs)}" for run in runs)
    return [f"different numbers of finished epochs ({told}): compared in {_spelled(tuple(common))} only"]


def _differences(runs: Sequence[Run]) -> list[str]:
    """What explains differences: declared otherwise, though not compared."""
    notes = []
    if unlike := _of_the_machine(runs):
        notes.append(f"not compared, since they tell of the machine: {', '.join(sorted(unlike))}")
    sought: Sequence[tuple[str, Callable[[Run], Hashable]]] = (
        ("the seeds differ", lambda run: run.seed),
        ("the initial weights differ", lambda run: run.weights and run.weights[:12]),
        ("the Keras versions differ", lambda run: run.sessions[-1].versions.get("keras") if run.sessions else None),
    )
    for what, of in sought:
        found = [of(run) for run in runs]
        if len({each for each in found if each is not None}) > 1:
            notes.append(f"{what}: {', '.join(str(each) for each in found)}")
    return notes


def _of_the_machine(runs: Sequence[Run]) -> set[str]:
    return {name for run in runs for name in run.metrics if not run.repeatable(name)}


def _columns(runs: Sequence[Run]) -> tuple[Column, ...]:
    heads = _shortened([Path(os.path.abspath(run.path)) for run in runs])
    columns = []
    for head, run in zip(heads, runs, strict=True):
        trained_on = "+".join(run.backends) or "unknown"
        columns.append(Column(f"{head} ({trained_on})", str(run.path), run.backends, run.seed, tuple(run.epochs)))
    return tuple(columns)


def _shortened(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    longest = max(len(path.parts) for path in paths)
    for count in range(1, longest + 1):
        heads = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(heads)) == len(heads):
            break
    return heads


def _spelled(epochs: Sequence[int]) -> str:
    """`"epochs 1-3, 5"`."""
    if not epochs:
        return "no epoch"
    spans: list[list[int]] = []
    for epoch in epochs:
        if spans and spans[-1][1] == epoch - 1:
            spans[-1][1] = epoch
        else:
            spans.append([epoch, epoch])
    listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return f"epoch{'s' if len(epochs) > 1 else ''} {listed}"
