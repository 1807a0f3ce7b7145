"""Runs that are killed: in forks of a process that has imported their framework, and what they leave."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support.environments import TESTS, compiled_in, with_support
from support.wire import HOW, Fault

SCRIPTS = TESTS / "long" / "kills" / "scripts"


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (-n: signal n), what it wrote, what it said is saved, its error or its result."""

    code: int
    said: str
    saved: tuple[str, ...]
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    orphans: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Order:
    """What a run is to meet: a fault at a call, a kill after so many seconds, a disk that is full after so many bytes.

    `heeds_permissions`: that of files holds for it, also where it is root's.
    """

    fault: Fault | None = None
    seconds: float | None = None
    quota: int | None = None
    heeds_permissions: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.fault) if self.fault else f"after {self.seconds:.3f} s" if self.seconds else "nothing"


class Warm:
    """The process that forks; one run at a time."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend = backend
        self._folder = folder
        self._runs = 0
        alone = {"MULTILEARN_BACKEND": backend, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, str(SCRIPTS / "warm.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = with_support(**alone, **compiled_in(folder / "compiled"))
        self._process = subprocess.Popen(command, env=environment, text=True, **pipes)

    def train(self, directory: Path, order: Order = Order()) -> Ended:
        """A run in `directory` that goes on from its latest checkpoint, if there is one."""
        self._runs += 1
        report = self._folder / f"report-{self._runs}"
        report.mkdir(parents=True)
        request = {**asdict(order), "directory": str(directory), "report": str(report)}
        child = int(self._ask(json.dumps(request)))
        timer = None
        if order.seconds is not None:
            timer = threading.Timer(order.seconds, _kill, [child])
            timer.start()
        code = int(self._answer())
        if timer is not None:
            timer.cancel()
        return _ended(code, report, orphans=int(self._answer()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return answer


def _kill(child: int) -> None:
    # the process that forks may have collected it in this very moment
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _ended(code: int, report: Path, orphans: int) -> Ended:
    def read(name: str) -> str:
        return (report / name).read_text(encoding="utf-8") if (report / name).exists() else ""

    result, error = read("result.json"), read("error.json")
    saved = tuple(read("saved.txt").splitlines())
    ended = Ended(
        code,
        read("said.txt"),
        saved,
        json.loads(error) if error else None,
        json.loads(result) if result else None,
        orphans,
    )
    shutil.rmtree(report)
    return ended


Calls = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Whole:
    """The run that nothing happened to: its directory, its end, its calls, and how long it took."""

    directory: Path
    ended: Ended
    calls: Calls
    seconds: float


def calls_of(ended: Ended) -> Calls:
    """How often a run that came to its end made each call on each kind of file."""
    assert ended.result is not None, ended.said
    return {(call, kind): count for call, kind, count in ended.result["calls"]}


def drawn(rng: random.Random, calls: Calls, seconds: float) -> Order:
    """One moment in four is any; the others are at a call: each kind of call on each kind of file is as likely."""
    if rng.random() < 0.25:
        return Order(seconds=rng.uniform(0.0, seconds))
    call, kind = rng.choice(sorted(calls))
    how = rng.choice(HOW.get(call, ("before", "after")))
    return Order(Fault(call, kind, rng.randint(1, calls[call, kind]), how))
