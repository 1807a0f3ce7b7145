"""One script in its own process: its output passed on with a prefix, our signals passed on to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

__all__ = ["ForwardedSignals", "captured", "run_process"]

_ASKED_TO_END = (signal.SIGINT, signal.SIGTERM)
_PASSED_ON = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_GRACE = 1.0  # seconds without output, after which a pipe that a dead process's own children hold open is given up


def run_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    prefix: str,
    signals: ForwardedSignals,
    stdout: IO[bytes] | None = None,
) -> int:
    """Run it to its end, every line of its output with `prefix`. Returns its exit code, 128 + n where signal n killed
    it.

    It has its own session, so that a terminal's Ctrl-C reaches it through `signals` only. `stdout`: where its
    standard output goes instead of to ours.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout and process.stderr
    signals.go_to(process)
    lock = threading.Lock()
    streams = [
        _Stream(process.stdout, stdout or sys.stdout.buffer, prefix.encode(), lock),
        _Stream(process.stderr, sys.stderr.buffer, prefix.encode(), lock),
    ]
    code = process.wait()
    signals.go_to(None)
    for stream in streams:
        stream.finish()
    return 128 - code if code < 0 else code


def captured(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run it to its end, unseen. Returns its exit code, -n where signal n killed it, and the lines that it wrote."""
    ended = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return ended.returncode, ended.stdout.decode(errors="replace").rstrip().splitlines()


@dataclass
class ForwardedSignals:
    """Passes every signal on once: at once to the running process, or to the one that is just being started."""

    first: int | None = None
    _process: subprocess.Popen[bytes] | None = None
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
            pass  # our reader is gone (`| head`): the script is to see the same of its own pipe
        finally:
            self._pipe.close()
