"""Trackers as metric loggers: views of a run, whose truth is its directory.

Events are kept by the thread that trains, and sent by one beside it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from multilearn.arguments import settle, whole
from multilearn.errors import ConfigurationError, pip_install
from multilearn.events import START, Attached, Evaluating, Event, Finished, Started
from multilearn.loggers.points import Point, Points, recorded
from multilearn.loggers.tracked_run import TrackedRun
from multilearn.printable import printable
from multilearn.storage.shield import SHIELD

__all__ = ["OpenRun", "Status", "TrackerLogger", "Tracking"]

_log = logging.getLogger("multilearn")
_SECONDS = 1.0  # between two looks at what is waiting
_PATIENCE = 120.0  # seconds, for the rest of a run that has ended
_WAITING = 100_000  # events
_SHOWN = 300  # characters of what is wrong

Status = Literal["finished", "stopped", "failed"]


class OpenRun(ABC):
    """A run of a tracker, while it is written. All its methods are called by one thread.

    `place`: where it is, in words.
    """

    place: str

    @abstractmethod
    def log(self, point: Point) -> None:
        """Send a point, or keep it until `flush`. One that the tracker has already is left out."""

    @abstractmethod
    def attach(self, attached: Attached, update: int) -> None:
        """Send a text or an image that was logged after an epoch, after `update` updates."""

    def replayed(self) -> None:  # noqa: B027
        """What the directory had when this session began is logged."""

    @abstractmethod
    def flush(self) -> None:
        """Send what was kept."""

    @abstractmethod
    def end(self, status: Status) -> None:
        """Nothing follows."""

    def release(self) -> None:  # noqa: B027
        """Give back threads and files; after `end`, and after a fault."""


@dataclass
class TrackerLogger(ABC):
    """What all trackers have in common; each is a `MetricLogger`.

    x is the number of optimizer updates. Values of training batches are averaged over `every` updates, epoch values are
    always logged; metrics whose values are texts are left out. Hyper-parameters, tags and status are those of the
    run's experiment.json. If a run is resumed, the tracker gets what the metric files have up to there as far as it
    lacks it: every point is in it once, and in order.

    A thread sends, the training waits for nothing. What goes wrong with a tracker does not stop the run: it is one
    warning in experiment.log, and `multilearn export` makes up for what is missing. `close` waits two minutes at most.
    """

    every: int = 50

    tracker: ClassVar[str]
    """What `multilearn export --to` and the extra are called."""
    library: ClassVar[str]

    def __post_init__(self) -> None:
        settle(self, every=whole("every", self.every, 1, "It is a number of optimizer updates."))
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if isinstance(value, os.PathLike):
                settle(self, **{each.name: os.fspath(value)})
            elif not isinstance(value, str) and (value is not None or each.default is not None):
                raise ConfigurationError(f"{each.name} of a {type(self).__name__} is a text.", received=repr(value))
        found = importlib.util.find_spec(self.library)
        # a folder of this name in the current directory, as wandb makes one, is found too, and is no library
        if found is None or found.origin is None:
            raise ConfigurationError(
                f"A {type(self).__name__} needs {self.library}.",
                received="an environment without it",
                remedy=f"Install it with: {pip_install(self.tracker)}",
            )
        self._sender: _Sender | None = None

    @abstractmethod
    def open(self, run: TrackedRun) -> OpenRun:
        """The tracker's run for the run in a directory, the same as before if there was one."""

    def log(self, event: Event) -> None:
        if isinstance(event, Started):
            self.close()
            self._sender = _Sender(self)
        elif isinstance(event, Evaluating):
            _log.warning("A %s logs no evaluations.", type(self).__name__)
        if self._sender is not None:
            self._sender.put(event)

    def flush(self) -> None:
        """Training waits for no tracker: what a kill takes from it is in the metric files."""
        return

    def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


class Tracking:
    """The events of one session on their way into a tracker. Raises what the tracker raises.

    `points`: how many there were, those included that the tracker had; `place`: where they are.
    """

    def __init__(self, logger: TrackerLogger) -> None:
        self.points, self.place = 0, ""
        self._logger = logger
        self._points = Points(logger.every)
        self._run: OpenRun | None = None
        self._status: Status | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Started):
            self.release()
            tracked = TrackedRun.of(event)
            self._points = Points(self._logger.every, tracked.accumulation)
            self._run = self._logger.open(tracked)
            self.place = printable(self._run.place)
            _log.info("A %s logs into %s.", type(self._logger).__name__, self.place)
            if event.position != START:
                for earlier in recorded(tracked.directory, event.position, event.update, tracked.accumulation):
                    self._log(earlier)
            self._run.replayed()
        elif isinstance(event, Finished):
            self._status = "failed" if event.error else "stopped" if event.reason and not event.by_rule else "finished"
        else:
            self._log(event)

    def flush(self) -> None:
        if self._run is not None:
            self._run.flush()

    def end(self) -> None:
        """As the last event has it; without one that ended it, the run is still running."""
        if self._run is not None:
            self._run.flush()
            if self._status is not None:
                self._run.end(self._status)

    def release(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.release()

    def _log(self, event: Event) -> None:
        if self._run is not None:
            if isinstance(event, Attached):
                try:
                    self._run.attach(event, self._points.update)
                except Exception as error:  # if it is the tracker that fails, its next point does, too
                    words = printable(f"{type(error).__name__}: {error}"[:_SHOWN])
                    _log.warning("%s has not taken %s: %s", self._logger.tracker, printable(event.name), words)
            for point in self._points.of(event):
                self.points += 1
                self._run.log(point)


class _Sender:
    """One session: its events, in order, and the thread that sends them."""

    def __init__(self, logger: TrackerLogger) -> None:
        self._logger, self._tracking = logger, Tracking(logger)
        self._directory = ""
        self._waiting: deque[Event] = deque()
        self._closing = threading.Event()
        self._failing = threading.Lock()
        self._failed = False
        with SHIELD:
            self._thread = threading.Thread(target=self._work, name=f"multilearn-{logger.tracker}", daemon=True)
            self._thread.start()

    def put(self, event: Event) -> None:
        if self._failed:
            return
        if isinstance(event, Started):
            self._directory = str(event.directory)
        if len(self._waiting) >= _WAITING:
            self._fail(f"it does not keep up, {_WAITING} events are waiting")
        else:
            self._waiting.append(event)

    def close(self) -> None:
        self._closing.set()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._fail(f"it did not take all in {_PATIENCE:.0f} seconds after the end of the run")

    def _work(self) -> None:
        try:
            while not self._closing.wait(_SECONDS):
                self._send()
            self._send()
            if not self._failed:
                self._tracking.end()
        except (Exception, SystemExit) as fault:
            self._fail(f"{type(fault).__name__}: {fault}")
        finally:
            with suppress(Exception, SystemExit):
                self._tracking.release()

    def _send(self) -> None:
        waiting = self._waiting
        for _ in range(len(waiting)):
            if self._failed:
                return
            self._tracking.take(waiting.popleft())
        self._tracking.flush()

    def _fail(self, what: str) -> None:
        with self._failing:
            first, self._failed = not self._failed, True
        if first:
            self._waiting.clear()
            name, tracker = type(self._logger).__name__, self._logger.tracker
            said = f"{name} has failed: {' '.join(what.split())[:_SHOWN]}. The run continues without it."
            remedy = f"What is missing: multilearn export {self._directory} --to {tracker}"
            _log.warning("%s", printable(f"{said} {remedy}"))
