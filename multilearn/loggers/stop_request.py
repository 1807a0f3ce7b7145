"""A request to stop a run, left in its directory by another process: `multilearn stop`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from multilearn.events import Event, Started, Stepped
from multilearn.printable import printable
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory
from multilearn.storage.reading import read_whole

__all__ = ["StopRequests", "request_stop"]

_SECONDS = 0.5
_LONGEST = 1000  # bytes of a reason


def request_stop(run: RunDirectory, reason: str) -> None:
    """Have the process that trains the run stop after the batch it is at, with this reason. Raises `StorageError`."""
    write_atomically(run.stop, reason.encode(errors="replace")[:_LONGEST])


class StopRequests:
    """A logger that every run has besides its others: looks twice a second for a request, and calls `stop` with it.

    One that is older than the process's hold of the directory was meant for an earlier process.
    """

    def __init__(self, run: RunDirectory, stop: Callable[[str], None]) -> None:
        self._run, self._stop = run, stop
        self._due = 0.0

    def log(self, event: Event) -> None:
        if type(event) is Stepped:
            now = time.monotonic()
            if now >= self._due:
                self._due = now + _SECONDS
                self._look()
        elif isinstance(event, Started):
            with suppress(OSError):
                if os.lstat(self._run.stop).st_mtime_ns < os.lstat(self._run.lock).st_mtime_ns:
                    self._run.stop.unlink()

    def flush(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""

    def _look(self) -> None:
        # a request that cannot be read, or not be removed, is one all the same
        if os.path.lexists(self._run.stop):
            reason = ""
            with suppress(OSError):
                reason = read_whole(self._run.stop, _LONGEST, self._run.path).decode(errors="replace")
            with suppress(OSError):
                self._run.stop.unlink()
            self._stop(printable(reason).strip() or "a request in the directory")
