"""timeline.jsonl: when each split of each epoch, each checkpoint and the run ended, and how fast it went."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from multilearn.errors import ConfigurationError
from multilearn.events import Attached, EpochEnded, Event, Finished, Position, Saved, SplitEnded, Started, Stepped
from multilearn.printable import now
from multilearn.storage.atomic import write_atomically
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import open_file
from multilearn.storage.reading import opened, parsed
from multilearn.storage.refusals import storing

__all__ = ["Timeline", "cut_timeline", "facts_of", "read_timeline"]

_LONGEST = 1 << 16  # bytes of a line


@dataclass
class _Passed:
    """What has been seen of a split of an epoch. `seconds`: the time that the `batches` seen took."""

    begun: float
    batches: int = 0
    items: int | None = 0
    last: int = 0
    learning_rate: float | None = None

    def take(self, event: Stepped) -> None:
        self.batches += 1
        self.items = None if self.items is None or event.items is None else self.items + event.items
        self.last, self.learning_rate = event.batch, event.learning_rate


class Timeline:
    """A logger that every run has besides its others. One line of JSON for each `SplitEnded`, `Saved`, `Finished`.

    Each has `at`, the moment in UTC, and `event`. That of a split: `epoch`, `split`, the number of its `batches`;
    `update`, the optimizer updates of the run so far, and the `learning_rate` of the last one; and of what this process
    did of the epoch, which is all of it unless the run was resumed inside it: `measured` batches with `items` items
    in `seconds` seconds since the split before was done, or the functions after the epoch.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._file: IO[bytes] | None = None
        self._begun = self._run_begun = 0.0
        self._passed: _Passed | None = None

    def log(self, event: Event) -> None:
        if type(event) is Stepped:  # by far the most
            if self._passed is None:
                self._passed = _Passed(self._begun)
            self._passed.take(event)
            return
        match event:
            case Started():
                self.close()
                with storing(self._run.timeline):
                    self._file = open_file(self._run.timeline, self._run.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                self._run_begun = time.monotonic()
            case SplitEnded():
                self._end(event)
            case Saved():
                self._write("saved", position=str(event.position))
            case Finished():
                facts = {"position": str(event.position), "reason": event.reason, "error": event.error}
                self._write("finished", **facts, seconds=self._since(self._run_begun))
            case _:
                pass
        if isinstance(event, (Started, SplitEnded, EpochEnded, Attached)):
            # a checkpoint may be saved between two batches that are not reported yet
            self._begun = time.monotonic()

    def flush(self) -> None:
        """Every line is written at once."""

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self, event: SplitEnded) -> None:
        passed, self._passed = self._passed, None
        if passed is not None:
            self._write(
                "split",
                epoch=event.epoch,
                split=event.split,
                batches=passed.last,
                update=event.update,
                learning_rate=passed.learning_rate,
                measured=passed.batches,
                items=passed.items,
                seconds=self._since(passed.begun),
            )

    def _write(self, event: str, **facts: Any) -> None:
        if self._file is not None:
            with storing(self._run.timeline):
                self._file.write(f"{json.dumps({'at': now(), 'event': event, **facts})}\n".encode())
                self._file.flush()

    @staticmethod
    def _since(begun: float) -> float:
        return round(time.monotonic() - begun, 6)


def read_timeline(run: RunDirectory) -> Iterator[Mapping[str, Any]]:
    """The lines of the timeline of a run, none if it has none: of a run of an earlier version.

    What a kill tore, and whatever else is no line of a timeline, is ignored. Raises `OSError`.
    """
    yield from (facts for _, facts in _lines(run) if facts is not None)


def cut_timeline(run: RunDirectory, position: Position) -> None:
    """Leave out of the timeline what came after `position`."""
    with storing(run.timeline):
        lines = list(_lines(run))
        kept = [line for line, facts in lines if facts is not None and _place(facts) <= position]
        if len(kept) < len(lines):
            write_atomically(run.timeline, b"".join(kept))


def _lines(run: RunDirectory) -> Iterator[tuple[bytes, Mapping[str, Any] | None]]:
    """Each line, and what it says; None for one that says nothing that is known."""
    with suppress(FileNotFoundError), opened(run.timeline, run.path) as file:
        for line in iter(partial(file.readline, _LONGEST), b""):
            if len(line) == _LONGEST:  # of something else, which may be of any size
                yield b"", None
                return
            yield line, facts_of(line)


def facts_of(line: bytes) -> Mapping[str, Any] | None:
    """What a line says; None for one that a kill has torn, or that says nothing that is known."""
    try:
        facts = parsed(line)
        _place(facts)
    except (ValueError, TypeError, KeyError, ConfigurationError):
        return None
    return dict(facts) if line.endswith(b"\n") else None


def _place(facts: Mapping[str, Any]) -> Position:
    """The place that a line is of: that of a split is the end of its epoch, without which it is measured again."""
    return Position(facts["epoch"]) if facts["event"] == "split" else Position.parse(facts["position"])
