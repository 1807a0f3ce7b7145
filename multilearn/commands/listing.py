"""`multilearn list`: the runs below a directory, the best one by a metric first."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multilearn.commands.shown_runs import numeric
from multilearn.commands.text import Sentences, TextTable, as_text, document
from multilearn.errors import DirectoryError, MultilearnError
from multilearn.events import Split
from multilearn.metrics import Loss
from multilearn.printable import plural, printable
from multilearn.renderers.notation import shown
from multilearn.run.on_disk import RunOnDisk, open_run
from multilearn.storage.layout import RunDirectory

__all__ = ["ListedRun", "Listing", "list_runs"]

_SPLITS = (Split.VALID, Split.TRAIN)


@dataclass(frozen=True)
class ListedRun:
    """One run, by its path below the directory. `best` is that of the metric on `split`, in epoch `at`; None without a
    number."""

    name: str
    backend: str
    seed: int | None
    epochs: int
    state: str
    split: str | None = None
    best: float | None = None
    at: int | None = None
    last: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Listing:
    """The runs, ranked by `metric`; `problems` are those that cannot be read, and why."""

    metric: str
    runs: tuple[ListedRun, ...]
    problems: tuple[str, ...]

    def as_json(self) -> str:
        runs: list[dict[str, Any]] = [asdict(run) for run in self.runs]
        return document({"metric": self.metric, "runs": runs, "problems": self.problems})

    def as_text(self) -> str:
        splits = {run.split for run in self.runs if run.split is not None}
        heads = ["run", "backend", "seed", "epochs", "state", f"best {printable(self.metric)}", "last"]
        rows = [
            [
                run.name,
                run.backend,
                "" if run.seed is None else str(run.seed),
                str(run.epochs),
                run.state,
                "-"
                if run.best is None
                else f"{shown(run.best, run.unit)} @ {run.at}" + f" {run.split}" * (len(splits) > 1),
                "-" if run.last is None else shown(run.last, run.unit),
            ]
            for run in self.runs
        ]
        of = f", on {splits.pop()}" if len(splits) == 1 else ""
        found = [f"{plural(len(self.runs), 'run')}, by {printable(self.metric)}{of}", *self.problems]
        return as_text([TextTable("", [heads, *rows], right=(2, 3, 5, 6)), Sentences(found)])


def list_runs(directory: Path, metric: str = Loss.name) -> Listing:
    """All runs in `directory` and below it. Of a metric the value on validation ranks, without validation the training.

    A metric that does not say which value is the best is ranked from the lowest on; runs without a number come last.
    Raises `DirectoryError` if there is no run.
    """
    directory = Path(os.path.expanduser(directory))
    runs, problems = [], []
    for path in _found(directory):
        name = printable(os.path.relpath(path, directory)) if path != directory else printable(path.name or str(path))
        try:
            run = open_run(path)
            listed = _listed(name, run, metric)
            sign = -1.0 if run.better(metric) == "highest" else 1.0
            runs.append((math.inf if listed.best is None else sign * listed.best, listed))
        except MultilearnError as error:
            problems.append(f"{name}: {error}")
    if not runs and not problems:
        raise DirectoryError(
            "There must be a run in the directory, or below it.",
            received=f"{directory}" + ("" if directory.is_dir() else " (no such directory)"),
            remedy="Name the directory that was given to LearnerBuilder, or one above it.",
        )
    runs.sort(key=lambda each: (each[0], each[1].name))
    return Listing(metric, tuple(listed for _, listed in runs), tuple(problems))


def _on(run: ListedRun, splits: set[str]) -> str:
    return f" {run.split}" if len(splits) > 1 else ""


def _found(directory: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(directory):
        path = Path(folder)
        if RunDirectory(path).experiment.name in files:
            below.clear()
            yield path
        below.sort()


def _listed(name: str, run: RunOnDisk, metric: str) -> ListedRun:
    split, values = _values(run, metric)
    best = _best(run, metric, values)
    return ListedRun(
        name,
        run.trained_on,
        run.seed,
        len(run.epochs),
        run.state,
        split,
        None if best is None else values[best],
        best,
        values[max(values)] if values else None,
        run.unit(metric),
    )


def _values(run: RunOnDisk, metric: str) -> tuple[Split | None, dict[int, float]]:
    found = ((split, numeric(run, split, metric)) for split in _SPLITS)
    return next(((split, values) for split, values in found if values), (None, {}))


def _best(run: RunOnDisk, metric: str, values: dict[int, float]) -> int | None:
    numbers = [epoch for epoch in sorted(values) if not math.isnan(values[epoch])]
    pick = max if run.better(metric) == "highest" else min
    return pick(numbers, key=values.__getitem__) if numbers else None
