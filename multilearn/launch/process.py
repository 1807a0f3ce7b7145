"""A script in processes of its own: their output passed on with a prefix, our signals passed on to them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

__all__ = ["SHOWN_AFTER", "ForwardedSignals", "captured", "run_processes"]

SHOWN_AFTER = b"\x1emultilearn: output is shown from here\n"
"""The line that ends what is not shown of a process."""

_ASKED_TO_END = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 5.0  # seconds for a process to end by itself, and again when it has been asked to
_LOOKED = 0.05
_INTERRUPTED = tuple(128 + number for number in _ASKED_TO_END)
"""What a script ends with by itself if it was asked to."""
_HELD = 1000  # lines that are not shown yet
_GRACE = 1.0  # seconds without output, after which a pipe that a dead process's own children hold open is given up


def run_processes(
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    prefix: str,
    signals: ForwardedSignals,
    stdout: IO[bytes] | None = None,
    quiet: bool = False,
) -> int:
    """Run it to its end, once in each environment, at the same time. Every line of output gets the prefix, and behind
    it the number of a process after the first. Returns the exit code of the first process that failed, 128 + n where
    signal n killed it; the others are ended then, and one line says which one it was.

    Each has its own session, so that a terminal's Ctrl-C reaches it through `signals` only. `stdout`: where standard
    output goes instead of to ours. Standard input is empty, and ends when this process does. `quiet`: what comes before
    the line `SHOWN_AFTER` is shown only if that line never comes.
    """
    several = len(environments) > 1
    processes = [
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE if several else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for environment in environments
    ]
    signals.go_to(processes)
    lock, streams = threading.Lock(), []
    for number, process in enumerate(processes):
        assert process.stdout and process.stderr
        head = (prefix + (f"[{number}] " if number else "")).encode()
        streams += [
            _Stream(process.stdout, stdout or sys.stdout.buffer, head, lock, quiet),
            _Stream(process.stderr, sys.stderr.buffer, head, lock, quiet),
        ]
    failed = _first_failure(processes, signals) if several else None
    codes = [process.wait() for process in processes]
    code = next(filter(None, codes), 0) if failed is None else codes[failed]
    signals.go_to([])
    for stream in streams:
        stream.finish()
    if failed is not None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        with lock:
            sys.stderr.write(f"{prefix}multilearn: rank {failed} {how}, and so the others are ended.\n")
            sys.stderr.flush()
    return 128 - code if code < 0 else code


def _first_failure(processes: Sequence[subprocess.Popen[bytes]], signals: ForwardedSignals) -> int | None:
    """Wait until all have ended. Once one has failed the others have a few seconds, and are then ended; which one."""
    failed, deadline, left = None, float("inf"), [signal.SIGTERM, signal.SIGKILL]
    while any(process.poll() is None for process in processes):
        codes = [process.poll() for process in processes]
        bad = [number for number, code in enumerate(codes) if code not in (None, 0, *_INTERRUPTED)]
        if failed is None and bad and signals.first is None:
            failed, deadline = bad[0], time.monotonic() + _PATIENCE
        if time.monotonic() > deadline:
            number, deadline = left.pop(0), time.monotonic() + _PATIENCE if left else float("inf")
            for process in processes:
                process.send_signal(number)
        time.sleep(_LOOKED)
    return failed


def captured(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run it to its end, unseen. Returns its exit code, -n where signal n killed it, and the lines that it wrote."""
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return ended.returncode, ended.stdout.decode(errors="replace").rstrip().splitlines()


@dataclass
class ForwardedSignals:
    """Passes every signal on once: at once to the running processes, or to those that are just being started."""

    first: int | None = None
    _processes: Sequence[subprocess.Popen[bytes]] = ()
    _held: list[int] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Receive the signals, except a SIGHUP that this process ignores (`nohup`).

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

    def go_to(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes
        while processes and self._held:
            self._send(self._held.pop(0))

    def _received(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or number
        if self._processes:
            self._send(number)
        else:
            self._held.append(number)

    def _send(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)


class _Stream:
    """A thread that copies lines from a process's pipe, each with the prefix, as they come."""

    def __init__(
        self, pipe: IO[bytes], to: IO[bytes], prefix: bytes, lock: threading.Lock, quiet: bool = False
    ) -> None:
        self._pipe, self._to, self._prefix, self._lock = pipe, to, prefix, lock
        self._held: deque[bytes] | None = deque(maxlen=_HELD) if quiet else None
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
                if line == SHOWN_AFTER:
                    self._held = None
                elif self._held is None:
                    self._show(line)
                else:
                    self._held.append(line)
                self._lines += 1
                self._reading = True
            for line in self._held or ():
                self._show(line)
        except OSError:
            pass  # our reader is gone (`| head`): the script is to see the same of its own pipe
        finally:
            self._pipe.close()

    def _show(self, line: bytes) -> None:
        with self._lock:
            self._to.write(self._prefix + line.removesuffix(b"\n") + b"\n")
            self._to.flush()
