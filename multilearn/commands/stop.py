"""`multilearn stop`: ask the process that trains a run to stop and to save, and wait until it has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from multilearn.errors import DirectoryError
from multilearn.loggers.stop_request import request_stop
from multilearn.run.on_disk import RunOnDisk, open_run
from multilearn.storage.lock import holder
from multilearn.storage.refusals import reading

__all__ = ["REASON", "Stopped", "stop"]

REASON = "multilearn stop"
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Stopped:
    """What became of a run that was asked to stop. `ended`: whether it has ended."""

    ended: bool
    text: str


def stop(path: Path, patience: float) -> Stopped:
    """Ask the run in `path` to stop, and wait at most `patience` seconds for its end.

    Raises `DirectoryError` if there is no run, or no process is at work on it.
    """
    run = open_run(path)
    with reading(run.path):
        held = holder(run.directory.lock)
    if held is None:
        raise DirectoryError(
            "Only a run that is being trained can be stopped.",
            received=f"{run.path}, which {_ending(run)}",
            remedy="`multilearn inspect` shows what it holds.",
        )
    request_stop(run.directory, REASON)
    who = f"process {held.pid} on {held.host}" if held.pid else "its process"
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with reading(run.path):
            if holder(run.directory.lock) is None:
                return Stopped(True, f"{run.path}: {_ending(open_run(run.path))}")
        time.sleep(_LOOK_SECONDS)
    return Stopped(False, f"{run.path}: {who} was asked to stop, and is still at work; it stops after its batch.")


def _ending(run: RunOnDisk) -> str:
    last = run.sessions[-1]
    at = f" at {last.position}" if last.position else ""
    reason = last.reason or last.error
    return f"{last.outcome}{at}" + (f" ({reason})" if reason else "") if last.outcome else "was killed"
