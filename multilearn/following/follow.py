"""A run's directory as the events that it tells of: while the run is written, and afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from itertools import takewhile
from pathlib import Path

from multilearn.events import START, Event, Finished, Position
from multilearn.following.growing import Cut
from multilearn.following.replay import Replay
from multilearn.run.experiment import Session
from multilearn.run.on_disk import RunOnDisk, open_run
from multilearn.storage.lock import holder

__all__ = ["KILLED", "Following", "follow"]

KILLED = "the process that trained it was killed"
"""The error of a run that no process is at work on, and that has no end."""


def follow(directory: str | os.PathLike[str], *, every: float = 0.5, wait: bool = True) -> Following:
    """The events of the run in `directory`, from its first batch on: those up to now, then those to come.

    They are what its listeners received, as far as metric files, timeline.jsonl and experiment.json have it: nothing
    has the `items` of a batch, and what is no mean no `running` value. With `wait` it looks for more `every` so many
    seconds until the run has ended: `Finished` is the last event, with an error if the process was killed. Without it,
    it ends with what there is now. If the run is resumed meanwhile, its events begin again, with `Started`.

    Raises `DirectoryError` if there is no run, `RecordError` for a metric file that is damaged.
    """
    return Following(open_run(Path(directory)), every, wait)


class Following(Iterator[Event]):
    """The events of a run in its directory, see `follow`.

    `clock`: how many seconds all batches up to the last one took, as timeline.jsonl has it: of a split that is not done
    yet it has nothing. `live`: whether the last one came while it was waited for.
    """

    def __init__(self, run: RunOnDisk, every: float, wait: bool) -> None:
        self.clock = 0.0
        self.live = False
        self.run = run
        self._every, self._wait = every, wait
        self._events = self._all()

    def __next__(self) -> Event:
        while (event := next(self._events)) is None:
            time.sleep(self._every)
        return event

    def new(self) -> Iterator[Event]:
        """The events that there are now, without waiting for others; the last one of an ended run is `Finished`."""
        yield from takewhile(lambda event: event is not None, self._events)

    def _all(self) -> Iterator[Event | None]:
        """None: there is nothing more for now."""
        resumed = True
        while resumed:
            self.clock, self.live = 0.0, False
            try:
                resumed = yield from self._until_resumed(Replay(self.run))
            except (Cut, FileNotFoundError):  # a process resumes the run, or replaces it
                yield None
            self.run = open_run(self.run.path)

    def _until_resumed(self, replay: Replay) -> Generator[Event | None, None, bool]:
        """Whether it must be read from the beginning; if not, the run has ended, or all that there is was read."""
        yield replay.started
        while True:
            run = open_run(self.run.path)
            if _begun(run) != _begun(self.run):
                return True
            # what is said of the end was said after the last line was written
            last = _ended(run)
            for event in replay.read(ended=last is not None):
                self.clock = replay.clock
                yield event
            if last is not None:
                if _begun(open_run(run.path)) != _begun(run):
                    return True
                yield _finished(last, replay.position)
            if last is not None or not self._wait:
                return False
            yield None
            self.live = True


def _begun(run: RunOnDisk) -> list[tuple[str, str]]:
    return [(session.started, str(session.resumed_from)) for session in run.sessions]


def _ended(run: RunOnDisk) -> Session | None:
    """The last session, if it has ended or was killed."""
    if run.sessions[-1].ended is None:
        if holder(run.directory.lock) is not None:
            return None
        run = open_run(run.path)  # it may have ended between the two
    return run.sessions[-1]


def _finished(session: Session, position: Position) -> Finished:
    if session.ended is None:
        return Finished(position, error=KILLED)
    return Finished(
        Position.parse(session.position) if session.position else START,
        session.reason,
        session.error,
        restored=session.restored,
        by_rule=session.reason is not None and session.finished is True,
    )
