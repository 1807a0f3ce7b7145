"""Runs side by side: every epoch value, the largest differences, and whether they are the same experiment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from multilearn.arguments import number
from multilearn.commands.compare.preconditions import first_difference, preconditions
from multilearn.commands.compare.values import ComparedRun, Comparison, Key, Row
from multilearn.commands.runs import RunOnDisk, open_run
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Split
from multilearn.loggers.metric_file import EpochValue

__all__ = ["compare_runs", "opened", "shortened", "spelled"]


def opened(directories: Sequence[Path], tolerance: float) -> tuple[RunOnDisk, ...]:
    """The runs of a comparison. Raises `ConfigurationError` (`DirectoryError`) for what cannot be compared."""
    number("The tolerance", tolerance, lambda n: n >= 0, "0 or more", "Leave it out for 1e-4.")
    runs = tuple(open_run(path) for path in directories)
    if len(directories) < 2:
        raise ConfigurationError("A comparison needs two directories or more.", received=len(directories))
    places = [os.path.realpath(path) for path in directories]
    if twice := [str(path) for path, place in zip(directories, places, strict=True) if places.count(place) > 1]:
        raise ConfigurationError("A run is not compared with itself.", received=", ".join(twice))
    return runs


def compare_runs(runs: Sequence[RunOnDisk], tolerance: float, prefix: bool = False) -> Comparison:
    """Compare two or more runs over the epochs that all of them have finished.

    Metrics of the machine, such as its speed, are left out, for equal runs do not agree about them.
    `tolerance` is relative; a share may differ by one item instead. Different epochs are an obstacle unless `prefix`.
    Raises `DirectoryError` for runs that have nothing in common.
    """
    epochs = sorted(set.intersection(*(set(run.epochs) for run in runs)))
    if not epochs:
        epochs_of_runs = "; ".join(f"{run.path}: {spelled(tuple(run.epochs))}" for run in runs)
        raise DirectoryError("The runs have no finished epoch in common.", received=epochs_of_runs)
    rows, missing = _rows(runs, epochs, tolerance)
    if not rows:
        raise DirectoryError("The runs have no metric in common.", received="; ".join(missing))
    uneven = _uneven(runs, epochs)
    comparison = Comparison(
        runs=_columns(runs),
        values=rows,
        tolerance=tolerance,
        notes=tuple(_not_compared(runs) + (uneven if prefix else [])),
        obstacles=tuple(missing + ([] if prefix else uneven)),
        preconditions=preconditions(runs),
    )
    if comparison.same:
        return comparison
    return replace(comparison, first_difference=first_difference(runs, tolerance) or _first_value_past(comparison))


def _rows(runs: Sequence[RunOnDisk], epochs: Sequence[int], tolerance: float) -> tuple[tuple[Row, ...], list[str]]:
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
        missing += [f"{path} has no {key[0]} {key[1]} in {spelled(tuple(at))}" for path, at in lacking.items()]
    return tuple(rows), missing


def _row(key: Key, unit: str, epoch: int, measured: Sequence[EpochValue], tolerance: float) -> Row:
    values = tuple(each.value for each in measured)
    counts = [each.items for each in measured if each.items]
    items = max(counts) if unit == "share" and len(counts) == len(measured) else None
    return Row.of(key, unit, epoch, values, items, tolerance)


def _first_value_past(comparison: Comparison) -> str | None:
    """What differs first where no cause of it was recorded, and no batch differs."""
    row = comparison.first_past()
    if row is None:
        return None
    return f"The {row.split} {row.metric} of epoch {row.epoch} differs: {', '.join(map(str, row.values))}."


def _uneven(runs: Sequence[RunOnDisk], common: Sequence[int]) -> list[str]:
    if all(list(run.epochs) == common for run in runs):
        return []
    counts = ", ".join(f"{run.path} {len(run.epochs)}" for run in runs)
    return [f"different numbers of finished epochs ({counts}): compared in {spelled(tuple(common))} only"]


def _not_compared(runs: Sequence[RunOnDisk]) -> list[str]:
    unlike = _of_the_machine(runs)
    return [f"not compared, since they tell of the machine: {', '.join(sorted(unlike))}"] if unlike else []


def _of_the_machine(runs: Sequence[RunOnDisk]) -> set[str]:
    return {name for run in runs for name in run.metrics if not run.repeatable(name)}


def _columns(runs: Sequence[RunOnDisk]) -> tuple[ComparedRun, ...]:
    heads = shortened([Path(os.path.abspath(run.path)) for run in runs])
    return tuple(
        ComparedRun(f"{head} ({run.trained_on})", str(run.path), run.backends, run.seed, tuple(run.epochs))
        for head, run in zip(heads, runs, strict=True)
    )


def shortened(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    longest = max(len(path.parts) for path in paths)
    for count in range(1, longest + 1):
        heads = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(heads)) == len(heads):
            break
    return heads


def spelled(epochs: Sequence[int]) -> str:
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
