"""Runs that are killed: in forks of a process that has imported their framework, and what they leave."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support import processes
from support.environments import TESTS, with_support
from support.processes import Forking
from support.wire import HOW, Fault

VICTIM = TESTS / "support" / "victim.py"


@dataclass(frozen=True)
class Ended(processes.Ended):
    """And what it said is saved, its error or its result."""

    saved: tuple[str, ...]
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None

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


class Warm(Forking):
    """The process that forks; one run at a time."""

    def __init__(self, backend: str, folder: Path) -> None:
        alone = {"MULTILEARN_BACKEND": backend, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        super().__init__(folder, with_support(**alone))
        self.backend = backend

    def train(self, directory: Path, order: Order = Order()) -> Ended:
        """A run in `directory` that goes on from its latest checkpoint, if there is one."""
        report = self._folder / "report"
        report.mkdir(parents=True)
        request = {**asdict(order), "directory": str(directory), "report": str(report)}
        running = self.start(VICTIM, json.dumps(request))
        timer = threading.Timer(order.seconds or 0.0, running.send, [signal.SIGKILL])
        if order.seconds is not None:
            timer.start()
        ended = running.wait()
        timer.cancel()

        def read(name: str) -> str:
            return (report / name).read_text(encoding="utf-8") if (report / name).exists() else ""

        saved, error, result = read("saved.txt"), read("error.json"), read("result.json")
        shutil.rmtree(report)
        return Ended(
            *(ended.code, ended.said, ended.orphans, tuple(saved.splitlines())),
            json.loads(error) if error else None,
            json.loads(result) if result else None,
        )


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
