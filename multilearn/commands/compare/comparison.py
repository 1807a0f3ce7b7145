"""Which runs belong together; and runs side by side: every epoch value, and whether they are the same experiment."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multilearn.arguments import number
from multilearn.commands.compare.facts import Facts, configuration
from multilearn.commands.compare.preconditions import first_difference, preconditions
from multilearn.commands.compare.values import ComparedRun, Comparison, Key, Row
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Split
from multilearn.loggers.metric_file import EpochValue
from multilearn.run.on_disk import RunOnDisk, heads, open_runs

__all__ = ["Grouping", "compare_runs", "grouped", "opened", "require_tolerance", "spelled", "unit_of"]


def opened(directories: Sequence[Path], tolerance: float) -> tuple[RunOnDisk, ...]:
    """The runs of a comparison. Raises `ConfigurationError` (`DirectoryError`) for what cannot be compared."""
    require_tolerance(tolerance)
    runs = open_runs(directories)
    if len(directories) < 2:
        raise ConfigurationError("A comparison needs two directories or more.", received=len(directories))
    return runs


def require_tolerance(tolerance: float) -> None:
    """Raises `ConfigurationError` for what is no tolerance."""
    number("The tolerance", tolerance, lambda n: n >= 0, "0 or more", "Leave it out for 1e-4.")


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
    unlike = {name for run in runs for name in run.metrics if not run.repeatable(name)}
    rows, missing = _rows(runs, epochs, unlike, tolerance)
    if not rows:
        raise DirectoryError("The runs have no metric in common.", received="; ".join(missing))
    left_out = [f"not compared, since they tell of the machine: {', '.join(sorted(unlike))}"] if unlike else []
    uneven = _uneven(runs, epochs)
    comparison = Comparison(
        runs=_columns(runs),
        values=rows,
        tolerance=tolerance,
        notes=tuple(left_out + (uneven if prefix else [])),
        obstacles=tuple(missing + ([] if prefix else uneven)),
        preconditions=preconditions(runs),
    )
    if comparison.same:
        return comparison
    difference = first_difference(runs, tolerance)
    # if no cause of it was recorded, and no batch differs
    if difference is None and (row := comparison.first_past()) is not None:
        values = ", ".join(map(str, row.values))
        difference = f"The {row.split} {row.metric} of epoch {row.epoch} differs: {values}."
    return replace(comparison, first_difference=difference)


def _rows(
    runs: Sequence[RunOnDisk], epochs: Sequence[int], unlike: Container[str], tolerance: float
) -> tuple[tuple[Row, ...], list[str]]:
    """Of all metrics but those that are `unlike`, and in words what some of the runs lack."""
    rows, missing = [], []
    found = (key for run in runs for epoch in epochs for key in run.epochs[epoch])
    keys = dict.fromkeys(key for key in found if key[1] not in unlike)
    for key in sorted(keys, key=lambda key: (list(Split).index(key[0]), list(keys).index(key))):
        lacking: dict[str, list[int]] = {}
        for epoch in epochs:
            measured = [run.epochs[epoch].get(key) for run in runs]
            if all(key[0] in run.left_out(epoch) and each is None for run, each in zip(runs, measured, strict=True)):
                continue
            if None not in measured:
                rows.append(_row(key, unit_of(runs, key), epoch, [each for each in measured if each], tolerance))
            for run, each in zip(runs, measured, strict=True):
                if each is None:
                    lacking.setdefault(str(run.path), []).append(epoch)
        missing += [f"{path} has no {key[0]} {key[1]} in {spelled(tuple(at))}" for path, at in lacking.items()]
    return tuple(rows), missing


def unit_of(runs: Iterable[RunOnDisk], key: Key) -> str:
    """A share is one that all runs have as a share."""
    return "share" if all(run.unit(key[1]) == "share" for run in runs) else ""


def _row(key: Key, unit: str, epoch: int, measured: Sequence[EpochValue], tolerance: float) -> Row:
    values = tuple(each.value for each in measured)
    counts = [each.items for each in measured if each.items]
    items = max(counts) if unit == "share" and len(counts) == len(measured) else None
    return Row.of(key, unit, epoch, values, items, tolerance)


def _uneven(runs: Sequence[RunOnDisk], common: Sequence[int]) -> list[str]:
    if all(list(run.epochs) == common for run in runs):
        return []
    counts = ", ".join(f"{run.path} {len(run.epochs)}" for run in runs)
    return [f"different numbers of finished epochs ({counts}): compared in {spelled(tuple(common))} only"]


def _columns(runs: Sequence[RunOnDisk]) -> tuple[ComparedRun, ...]:
    return tuple(
        ComparedRun(f"{head} ({run.trained_on})", str(run.path), run.backends, run.seed, tuple(run.epochs))
        for head, run in zip(heads(runs), runs, strict=True)
    )


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


@dataclass(frozen=True)
class Grouping:
    """A run for each seed and name, as far as there is one; a name is what a run was trained on."""

    seeds: tuple[int | None, ...]
    names: tuple[str, ...]
    cells: Mapping[tuple[int | None, str], RunOnDisk]

    def of(self, seed: int | None) -> dict[str, RunOnDisk]:
        """The runs of a seed, by name."""
        return {name: self.cells[seed, name] for name in self.names if (seed, name) in self.cells}


def grouped(runs: Sequence[RunOnDisk]) -> Grouping | None:
    """The runs by seed and backend; None if no backend has several seeds, so that there is nothing to group.

    Runs of several experiments, by the directory that was given to their builder, are distinguished by that, and runs
    whose configurations contradict each other in any case. Raises `ConfigurationError` if two runs of one seed on one
    backend cannot be distinguished.
    """
    names = _by_configuration(runs, _names(runs))
    if not _repeated(runs, names):
        return None
    cells: dict[tuple[int | None, str], RunOnDisk] = {}
    for run, name in zip(runs, names, strict=True):
        if (twin := cells.setdefault((run.seed, name), run)) is not run:
            raise ConfigurationError(
                "In a study over seeds, each seed has one run on each backend.",
                received=f"{twin.path} and {run.path}, both on {name} with seed {run.seed}",
                remedy="Compare one experiment at a time, or all runs with each other: --ungrouped.",
            )
    seeds = sorted({run.seed for run in runs}, key=lambda seed: (seed is None, seed or 0))
    return Grouping(tuple(seeds), tuple(dict.fromkeys(names)), cells)


def _repeated(runs: Sequence[RunOnDisk], names: Sequence[str]) -> bool:
    """Whether one of the names has several seeds."""
    return len({(run.seed, name) for run, name in zip(runs, names, strict=True)}) > len(set(names))


def _names(runs: Sequence[RunOnDisk]) -> list[str]:
    """What each was trained on, and its experiment where several of a seed were trained on the same."""
    backends = [run.trained_on for run in runs]
    cells = {(run.seed, name) for run, name in zip(runs, backends, strict=True)}
    declared = [_declared_directory(run) for run in runs]
    with_directory = [f"{name} {template}" for name, template in zip(backends, declared, strict=True)]
    enough = len(cells) == len(runs) or None in declared or not _repeated(runs, with_directory)
    return backends if enough else with_directory


def _by_configuration(runs: Sequence[RunOnDisk], names: Sequence[str]) -> list[str]:
    """The names, with the first run of each configuration if runs of one name have several: they share no mean."""
    firsts: dict[str, list[tuple[Facts, str]]] = {}
    heads_of = []
    for run, name, head in zip(runs, names, heads(runs), strict=True):
        own, known = configuration(run), firsts.setdefault(name, [])
        found = next(
            (first for facts, first in known if all(own.get(key, facts[key]) == facts[key] for key in facts)), None
        )
        if found is None:
            known.append((own, head))
        heads_of.append(found or head)
    return [f"{name} {head}" if len(firsts[name]) > 1 else name for name, head in zip(names, heads_of, strict=True)]


def _declared_directory(run: RunOnDisk) -> str | None:
    builder: Any = run.declared.get("builder")
    found = builder.get("directory") if isinstance(builder, dict) else None
    return found if isinstance(found, str) else None
