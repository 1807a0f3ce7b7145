"""The same script in every cell of a plan: one fresh process after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from multilearn.commands.grid.plan import Cell, CellRun, GridIndex, GridPlan, runs_in
from multilearn.commands.grid.tried_fit import TriedFit, as_text
from multilearn.commands.text import document
from multilearn.launch.process import ForwardedSignals, run_processes
from multilearn.printable import aligned, printable
from multilearn.storage.throw_away import reported

__all__ = ["Ended", "Outcome", "run"]


@dataclass(frozen=True)
class Ended:
    """How a cell ended: its exit code, 128 + n where signal n killed it, None if it never began.

    In a grid: its runs, whether it was `skipped` for being finished, and what there is to say of it. `fits`: what was
    tried of each fit, None if none was only tried.
    """

    cell: Cell
    code: int | None
    seconds: float = 0.0
    runs: tuple[CellRun, ...] = ()
    skipped: bool = False
    notes: tuple[str, ...] = ()
    fits: tuple[TriedFit, ...] | None = None

    def row(self) -> list[str]:
        """Backend, exit status and duration, in words."""
        if self.code is None:
            return [str(self.cell), "not started", ""]
        return [str(self.cell), f"exit {self.code}", f"{self.seconds:.1f} s"]

    def rows(self) -> Iterator[list[str]]:
        """One for each run of a cell of a grid: backend, seed, directory, what became of it, exit code, duration."""
        name = [self.cell.backend, str(self.cell.seed)]
        ended = ["", ""] if self.code is None or self.skipped else [str(self.code), f"{self.seconds:.1f} s"]
        if not self.runs:
            state = "not started" if self.code is None else "failed" if self.code else "made no run"
            yield [*name, "-", state, *ended]
        for run in self.runs:
            yield [*name, run.directory, self._state(run), *ended]
            name, ended = ["", ""], ["", ""]

    def _state(self, run: CellRun) -> str:
        if self.skipped:
            return f"skipped, finished before at {run.position}"
        if run.finished and run.began == run.position:
            state = f"was finished at {run.position}"
        else:
            end = f"finished at {run.position}" if run.finished else f"stopped at {run.position}"
            state = end if run.position is not None else "failed"
            state += f", resumed from {run.began}" if run.began is not None else ""
        return f"{state}, then failed" if run.finished and self.code else state


@dataclass(frozen=True)
class Outcome:
    """How it ended in each cell, and the signal (128 + n) that kept the rest from being started, if one did."""

    ended: tuple[Ended, ...]
    grid: bool = False
    interrupted: int | None = None

    @property
    def code(self) -> int:
        """The interrupted process's own exit code, if there was one; else the first that is not zero."""
        codes = [ended.code for ended in self.ended if ended.code is not None]
        if self.interrupted and codes and codes[-1]:
            return codes[-1]
        if self.interrupted and len(codes) < len(self.ended):
            return self.interrupted
        return next((code for code in codes if code), 0)

    def as_text(self) -> str:
        """A line for each cell, or each run of one; what there is to say."""
        if any(ended.fits is not None for ended in self.ended):
            return as_text([(str(ended.cell), ended.code, ended.seconds, ended.fits) for ended in self.ended])
        if not self.grid:
            return "\n".join(
                aligned([[f"multilearn: {name}", *rest] for name, *rest in map(Ended.row, self.ended)], right=(2,))
            )
        rows = [
            ["backend", "seed", "directory", "state", "exit", "time"],
            *(row for ended in self.ended for row in ended.rows()),
        ]
        lines = aligned([[f"multilearn: {first}", *rest] for first, *rest in rows], right=(1, 4, 5))
        notes = (printable(note) for ended in self.ended for note in ended.notes)
        return "\n".join([*lines, *(f"multilearn: note: {note}" for note in notes)])

    def as_json(self) -> str:
        """The exit `code`; `cells`: `backend`, `seed`, exit `code` (null if it never began), `seconds`, `skipped`,
        `runs` (the fields of `CellRun`) and `notes` of each; with `--quick` its `fits` (those of `TriedFit`)."""
        return document({"code": self.code, "cells": [_plain(ended) for ended in self.ended]})


def run(plan: GridPlan, stdout: IO[bytes] | None = None) -> Outcome:
    """Run it in every cell; a failure does not stop the others.

    SIGINT, SIGTERM and SIGHUP are passed on to the running process, once for each that arrives, and nothing is started
    after the first. `stdout`: where the script's standard output goes instead of to ours.
    """
    width = max(len(str(cell)) for cell in plan.cells)
    signals = ForwardedSignals()

    def process(cell: Cell, report: str = "") -> int:
        prefix = f"[{cell}] ".ljust(width + 3)
        return run_processes(plan.command(), plan.environments(cell, report), prefix, signals, stdout)

    ended = []
    with signals.taken():
        for cell in plan.cells:
            started = time.monotonic()
            if signals.first is not None:
                ended.append(Ended(cell, None))
            elif plan.quick:
                ended.append(_tried(cell, process))
            elif plan.grid is None:
                ended.append(Ended(cell, process(cell), time.monotonic() - started))
            else:
                ended.append(_in_grid(plan.grid, cell, process))
    return Outcome(tuple(ended), plan.grid is not None, None if signals.first is None else 128 + signals.first)


def _tried(cell: Cell, process: Callable[[Cell, str], int]) -> Ended:
    started = time.monotonic()
    with TemporaryDirectory(prefix="multilearn-quick-") as folder:
        code = process(cell, folder)
        fits = tuple(map(TriedFit.read, reported(Path(folder))))
    return Ended(cell, code, time.monotonic() - started, fits=fits)


def _in_grid(index: GridIndex, cell: Cell, process: Callable[[Cell, str], int]) -> Ended:
    """Skipped if its script ended well before, and all the runs that it made are finished."""
    started, code = time.monotonic(), 0
    runs = index.runs(cell)
    skipped = bool(runs) and all(run.finished for run in runs)
    if not skipped:
        with TemporaryDirectory(prefix="multilearn-") as folder:
            file = Path(folder) / "runs.jsonl"
            file.touch()
            code = process(cell, str(file))
            report = file.read_bytes()
        if code == 0:
            index.record(cell, report)
        runs = runs_in(report)
    notes = tuple(
        f"{cell}: {run.directory} was begun by another command, or before the script was changed, and resumed "
        f"from {run.began}. To start from the beginning, remove the directory and run this again."
        for run in runs
        if run.began is not None and run.begun_by != index.command
    )
    return Ended(cell, code, 0.0 if skipped else time.monotonic() - started, runs, skipped, notes)


def _plain(ended: Ended) -> dict[str, object]:
    fields = asdict(ended)
    if ended.fits is None:
        del fields["fits"]
    return {**fields.pop("cell"), **fields}
