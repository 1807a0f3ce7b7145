"""The same script on each backend: one fresh process after the other, its output passed on with a prefix."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from multilearn import backend
from multilearn.errors import ConfigurationError
from multilearn.seed import VARIABLE as SEED_VARIABLE

__all__ = ["Ended", "Outcome", "Plan", "run"]

_ASKED_TO_END = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_GRACE = 1.0  # seconds without output, after which a pipe that a dead process's own children hold open is given up


@dataclass(frozen=True)
class Plan:
    """A script, its arguments, and what it is to be run on, in this order."""

    script: Path
    arguments: tuple[str, ...]
    backends: tuple[str, ...]
    seed: int | None = None

    @classmethod
    def checked(cls, script: Path, arguments: Sequence[str], backends: Sequence[str], seed: int | None) -> Plan:
        """Raises `ConfigurationError` for what could not be run.

        `backends` may hold lists, `"torch,jax"`; none of them means the one that this process would use.
        """
        if not script.is_file():
            raise ConfigurationError(
                "The script to run must be a file.", received=script, remedy="Check the path and the working directory."
            )
        names = [name.strip() for entry in backends for name in entry.split(",")] or [backend.usable()]
        for name in names:
            backend.check_name(name)
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ConfigurationError(
                "Each backend runs the script once.", received=f"{', '.join(twice)} twice", remedy="Name it once."
            )
        return cls(script, tuple(arguments), tuple(names), seed)

    def command(self) -> list[str]:
        """The same interpreter, unbuffered, so that lines come as they are written."""
        return [sys.executable, "-u", str(self.script), *self.arguments]

    def environment(self, name: str) -> dict[str, str]:
        """This process's environment, in which every way of choosing a backend says `name`."""
        chosen = {backend.VARIABLE: name, backend.KERAS_VARIABLE: name}
        seeded = {} if self.seed is None else {SEED_VARIABLE: str(self.seed)}
        return {**os.environ, **chosen, **seeded}


@dataclass(frozen=True)
class Ended:
    """How the script ended on one backend: its exit code, 128 + n where signal n killed it, None if it never began."""

    backend: str
    code: int | None
    seconds: float = 0.0

    def told(self) -> tuple[str, str]:
        """Exit status and duration, in words."""
        return ("not started", "") if self.code is None else (f"exit {self.code}", f"{self.seconds:.1f} s")


@dataclass(frozen=True)
class Outcome:
    """How it ended on each backend, and the signal (128 + n) that kept the rest from being started, if one did."""

    ended: tuple[Ended, ...]
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


def run(plan: Plan) -> Outcome:
    """Run it on every backend; a failure does not stop the others.

    SIGINT, SIGTERM and SIGHUP are passed on to the running process, once for each that arrives, and nothing is started
    after the first. Each process has a session of its own, so that a terminal's Ctrl-C reaches it through here only.
    """
    width = max(map(len, plan.backends))
    signals = _Signals()
    ended = []
    with signals.taken():
        for name in plan.backends:
            if signals.first is not None:
                ended.append(Ended(name, None))
                continue
            started = time.monotonic()
            code = _run_one(plan, name, f"[{name}] ".ljust(width + 3), signals)
            ended.append(Ended(name, code, time.monotonic() - started))
    return Outcome(tuple(ended), None if signals.first is None else 128 + signals.first)


def _run_one(plan: Plan, name: str, prefix: str, signals: _Signals) -> int:
    process = subprocess.Popen(
        plan.command(),
        env=plan.environment(name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout and process.stderr
    signals.go_to(process)
    lock = threading.Lock()
    streams = [
        _Stream(process.stdout, sys.stdout.buffer, prefix.encode(), lock),
        _Stream(process.stderr, sys.stderr.buffer, prefix.encode(), lock),
    ]
    code = process.wait()
    signals.go_to(None)
    for stream in streams:
        stream.finish()
    return 128 - code if code < 0 else code


@dataclass
class _Signals:
    """Passes every signal on once: at once to the running process, or to the one that is just being started."""

    first: int | None = None
    _process: subprocess.Popen[bytes] | None = None
    _held: list[int] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Receive the signals, except a SIGHUP that this process was told to ignore (`nohup`).

        A shell has the SIGINT of what it starts in the background ignored, but one that is sent to us is meant.
        """
        before: Mapping[signal.Signals, object] = {each: signal.getsignal(each) for each in _PASSED_ON}
        ours = {each: found for each, found in before.items() if found is not signal.SIG_IGN or each in _ASKED_TO_END}
        try:
            for each in ours:
                signal.signal(each, self._received)
            yield
        finally:
            for each, found in ours.items():
                signal.signal(each, found)  # type: ignore[arg-type]

    def go_to(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process
        while process and self._held:
            process.send_signal(self._held.pop(0))

    def _received(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or number
        if self._process is None:
            self._held.append(number)
        else:
            self._process.send_signal(number)


class _Stream:
    """A thread that copies lines from a process's pipe, each with the prefix, as they come."""

    def __init__(self, pipe: IO[bytes], to: IO[bytes], prefix: bytes, lock: threading.Lock) -> None:
        self._pipe, self._to, self._prefix, self._lock = pipe, to, prefix, lock
        self._lines = 0
        self._reading = True
        self._thread = threading.Thread(target=self._copy, name="multilearn-output", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all is copied. What the process's own children may still write is not waited for."""
        while True:
            seen = self._lines
            self._thread.join(_GRACE)
            if not self._thread.is_alive() or (self._reading and self._lines == seen):
                return

    def _copy(self) -> None:
        try:
            for line in self._pipe:
                self._reading = False
                with self._lock:
                    self._to.write(self._prefix + line.removesuffix(b"\n") + b"\n")
                    self._to.flush()
                self._lines += 1
                self._reading = True
        except OSError:
            pass  # nobody reads us any more (`| head`): the script is to see the same of its own pipe
        finally:
            self._pipe.close()
