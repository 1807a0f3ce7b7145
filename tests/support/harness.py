"""The process that the readers work in, and what they must do with whatever they are given."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Readers", "few", "share"]

T = TypeVar("T")
ALL = 10_000
"""How many examples the full session has."""

SECONDS = 120.0
"""Far more than anything takes; what has not answered by then hangs."""
MEBIBYTES = 1024
"""What the process may ask for, above what it has at the beginning."""


def share(of_all: int) -> int:
    """How many examples a test has that has `of_all` of the 10,000 of the full session."""
    return max(5, of_all * int(os.environ.get("MULTILEARN_MUTATIONS", 300)) // ALL)


def few(cases: Iterable[T]) -> list[T]:
    """All of them in the full session, else every fifth."""
    return list(cases)[:: 1 if "MULTILEARN_MUTATIONS" in os.environ else 5]


class Readers:
    """Readers at work in another process, which is started anew where one has ended it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def read(self, reader: str, path: Path, *, most: int = 300) -> dict[str, Any]:
        """What came out: `found`, or `refused` with what was `said`. Fails for all else: another error, no answer
        within `SECONDS`, or more than `most` MiB of memory."""
        told = self._ask(reader, path)
        assert "escaped" not in told, f"{reader} of {path} raised what is not ours:\n{told['escaped']}"
        grown = told["grown"] >> 10
        if grown > most:
            raise AssertionError(f"{reader} of {path} took {grown} MiB: {told.get('said', 'and succeeded')}")
        return told

    def refused(self, reader: str, path: Path, *, most: int = 300) -> str:
        """What was said against it."""
        told = self.read(reader, path, most=most)
        assert "refused" in told, f"{reader} took {path}: {told}"
        return str(told["said"])

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, reader: str, path: Path) -> dict[str, Any]:
        if self._process is None:
            self._process = self._started()
        line = json.dumps({"reader": reader, "path": os.fsencode(path).hex()})
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        return json.loads(self._answer(reader, path))

    def _answer(self, reader: str, path: Path) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
            piece = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                code, self._pending = self._process.poll(), b""
                self.end()
                raise AssertionError(f"{reader} of {path} " + ("hangs" if not ready else f"ended the process ({code})"))
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "support.reading", str(MEBIBYTES)]
        self._pending = b""
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self._environment
        )
