"""The same script in every cell of a plan: one fresh process after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO

from multilearn.commands.grid.cells import Attempt, Cell, CellFiles, Trained
from multilearn.commands.grid.plan import Plan
from multilearn.commands.process import Signals, run_process
from multilearn.commands.text import aligned, document
from multilearn.printable import printable

__all__ = ["Ended", "Outcome", "run"]

_UNUSABLE = 2


@dataclass(frozen=True)
class Ended:
    """How a cell ended: its exit code, 128 + n where signal n killed it, None if it never began.

    In a grid: its runs, whether it was `skipped` for being finished, and what there is to say of it.
    """

    cell: Cell
    code: int | None
    seconds: float = 0.0
    runs: tuple[Trained, ...] = ()
    skipped: bool = False
    notes: tuple[str, ...] = ()

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

    def _state(self, run: Trained) -> str:
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
        codes = [each.code for each in self.ended if each.code is not None]
        if self.interrupted and codes and codes[-1]:
            return codes[-1]
        if self.interrupted and len(codes) < len(self.ended):
            return self.interrupted
        return next((code for code in codes if code), 0)

    def as_text(self) -> str:
        """A line for each cell, or each run of one; what there is to say."""
        if not self.grid:
            return "\n".join(
                aligned([[f"multilearn: {each.row()[0]}", *each.row()[1:]] for each in self.ended], right=(2,))
            )
        rows = [
            ["backend", "seed", "directory", "state", "exit", "time"],
            *(row for each in self.ended for row in each.rows()),
        ]
        told = aligned([[f"multilearn: {first}", *rest] for first, *rest in rows], right=(1, 4, 5))
        notes = (printable(note) for each in self.ended for note in each.notes)
        return "\n".join([*told, *(f"multilearn: note: {note}" for note in notes)])

    def as_json(self) -> str:
        """The exit `code`; `cells`: `backend`, `seed`, exit `code` (null if it never began), `seconds`, `skipped`,
        `runs` (`directory`, where it `began` and its `position`, whether it is `finished`) and `notes` of each."""
        return document({"code": self.code, "cells": [_plain(each) for each in self.ended]})


def run(plan: Plan, stdout: IO[bytes] | None = None) -> Outcome:
    """Run it in every cell; a failure does not stop the others.

    SIGINT, SIGTERM and SIGHUP are passed on to the running process, once for each that arrives, and nothing is started
    after the first. `stdout`: where the script's standard output goes instead of to ours.
    """
    width = max(len(str(cell)) for cell in plan.cells)
    signals = Signals()
    ended = []
    with signals.taken():
        for cell in plan.cells:
            if signals.first is not None:
                ended.append(Ended(cell, None))
                continue
            process = _Process(plan, cell, f"[{cell}] ".ljust(width + 3), signals, stdout)
            ended.append(process.run() if plan.grid is None else process.run_unless_finished(plan.grid))
    return Outcome(tuple(ended), plan.grid is not None, None if signals.first is None else 128 + signals.first)


@dataclass(frozen=True)
class _Process:
    plan: Plan
    cell: Cell
    prefix: str
    signals: Signals
    stdout: IO[bytes] | None

    def run(self) -> Ended:
        started = time.monotonic()
        environment = self.plan.environment(self.cell)
        code = run_process(self.plan.command(), environment, self.prefix, self.signals, self.stdout)
        return Ended(self.cell, code, time.monotonic() - started)

    def run_unless_finished(self, files: CellFiles) -> Ended:
        earlier = files.attempts(self.cell)
        if earlier and earlier[-1].finished and earlier[-1].script == files.script:
            return self._with_runs(Ended(self.cell, 0, skipped=True), earlier[-1], files)
        with files.held(self.cell) as ours:
            if not ours:
                return Ended(self.cell, _UNUSABLE, notes=(f"{self.cell}: another process is at work on it.",))
            files.begin(self.cell)
            ended = self.run()
            assert ended.code is not None
            files.end(self.cell, ended.code)
        return self._with_runs(ended, files.attempts(self.cell)[-1], files)

    def _with_runs(self, ended: Ended, attempt: Attempt, files: CellFiles) -> Ended:
        runs = tuple(attempt.runs.values())
        attempts = files.attempts(self.cell)
        notes = [f"{self.cell}: {note}" for run in runs if (note := _begun_otherwise(run, attempts, files.script))]
        return replace(ended, runs=runs, notes=tuple(notes))


def _begun_otherwise(run: Trained, attempts: Sequence[Attempt], script: str) -> str | None:
    """What is to be said where a run went on that was not begun by this very script."""
    beginnings = [each.script for each in attempts if run.path in each.runs and each.runs[run.path].began is None]
    if run.began is None or (beginnings and beginnings[-1] == script):
        return None
    whose = "before the script was changed" if beginnings else "by another command"
    return (
        f"{run.directory} was begun {whose}, and gone on with from {run.began}. "
        "To begin it anew, remove the directory and run this again."
    )


def _plain(ended: Ended) -> dict[str, object]:
    plain = asdict(ended)
    cell = plain.pop("cell")
    return {**cell, **plain, "runs": [{**run, "path": str(run["path"])} for run in plain["runs"]]}
