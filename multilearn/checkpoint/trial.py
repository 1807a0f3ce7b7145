"""Whether a state can be saved, asked before hours are spent on what cannot."""

from __future__ import annotations

from multilearn.checkpoint.formats import BUILT_IN
from multilearn.checkpoint.recorder import Recorder
from multilearn.protocols import Record

__all__ = ["require_savable"]


def require_savable(recorder: Recorder, schedule: Record) -> None:
    """Raise what `recorder` raises for this part of a record `scheduler-N`: `CheckpointError`, naming the place.

    One that is not built in is not asked: it may do more than write, and hold more.
    """
    if type(recorder) in map(type, BUILT_IN):
        recorder.write(_Nowhere(), schedule, {"part": "scheduler", "checkpoint": "1"})


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes | memoryview, /) -> int:
        return len(data)
