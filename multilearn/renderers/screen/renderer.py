"""A renderer whose screen is another process: the training keeps its thread, its signals and its speed."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from multilearn.events import (
    EpochEnded,
    Evaluating,
    Event,
    Finished,
    Position,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.printable import printable
from multilearn.renderers.notation import beginning
from multilearn.renderers.renderer import CliRenderer
from multilearn.renderers.screen.terminal import LentTerminal
from multilearn.renderers.screen.wire import encode
from multilearn.renderers.stream import ForgivingStream
from multilearn.storage.location import readable

__all__ = ["ScreenRenderer", "missing"]

T = TypeVar("T")

_TEXTUAL = 8  # the first version that this is written for
_SHOWN = "⣿━●"  # what there is on it
_EVERY = 0.05  # seconds from one parcel of steps to the next
_BACKLOG = 8 << 20  # bytes that may wait for a screen that does not read: then its curves have a gap
_PATIENCE = 1.0  # seconds for the last parcel

_log = logging.getLogger("multilearn")


@dataclass
class ScreenRenderer:
    """Shows a run on the whole screen of the terminal; afterwards the ordinary one has what was printed, and the end.

    `persistent`: the screen stays when the run has ended, until a key leaves it. Needs the extra `screen`. What is no
    terminal gets what a `CliRenderer` shows; so does a terminal whose screen was left or has failed, from then on.
    """

    persistent: bool = False

    def __post_init__(self) -> None:
        self._terminal: LentTerminal | None = None
        self._plain: Any = None
        self._run: _SoFar | None = None
        self._waiting: list[Event] = []
        self._backlog, self._due = b"", 0.0

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        if isinstance(event, (Started, Evaluating)):
            self.close()
            self._begin(event)
            return
        if self._run is not None:
            self._run.take(event)
        if self._plain is not None:
            self._plain.render(event)
        elif self._terminal is not None:
            self._waiting.append(event)
            now = time.monotonic()
            if now >= self._due or not isinstance(event, Stepped):
                self._due = now + _EVERY
                self._send()

    def close(self) -> None:
        plain, self._plain = self._plain, None
        if plain is not None:
            plain.close()
        if self._terminal is not None:
            finished = self._run is not None and self._run.finished is not None
            try:
                self._send(patiently=True)
            finally:
                self._take_back(patiently=self.persistent and finished)
            if self._run is not None and finished:
                self._run.shown(beginning(self._run.started)).close()

    def _begin(self, event: Started | Evaluating) -> None:
        self._run = _SoFar(event, time.monotonic()) if isinstance(event, Started) else None
        reason = _refusal() if isinstance(event, Started) else "an evaluation is a line"
        if reason is None:
            try:
                self._lend()
            except OSError as error:
                reason = str(error)
        if reason is not None:
            if isinstance(event, Started):
                _log.info("The run is not shown on the whole screen: %s.", reason)
            self._plain = CliRenderer()
            self._plain.render(event)
            return
        self._waiting = [event]
        self._backlog, self._due = b"", 0.0
        self._send()

    def _lend(self) -> None:
        package = str(Path(__file__).resolve().parents[3])
        paths = os.pathsep.join([package, *(path for path in sys.path[1:] if path)])
        options = json.dumps({"persistent": self.persistent, "training": os.getpid()})
        # -P: what lies beside the script, such as a rich.py, is nothing to it
        command = [sys.executable, "-P", "-m", "multilearn.renderers.screen.child", options]
        self._terminal = LentTerminal(command, {**os.environ, "PYTHONPATH": paths})
        self._hook = sys.breakpointhook
        sys.breakpointhook = self._debug

    def _send(self, patiently: bool = False) -> None:
        assert self._terminal is not None
        waiting, self._waiting = self._waiting, []
        if len(self._backlog) < _BACKLOG:
            self._backlog += encode(waiting)
        end = time.monotonic() + _PATIENCE
        try:
            while self._backlog:
                try:
                    written = os.write(self._terminal.pipe, self._backlog[: 1 << 16])
                    self._backlog = self._backlog[written:]
                except BlockingIOError:
                    if not patiently or time.monotonic() > end:
                        break
                    time.sleep(0.01)
            left = self._terminal.ended
        except BrokenPipeError:
            left = True
        if left and not patiently:
            self._fall_back()

    def _fall_back(self) -> None:
        """The screen was left, or has failed: what comes is shown in a block."""
        _log.info("The screen is closed.")
        self._take_back(patiently=False)
        if self._run is not None:
            self._plain = self._run.shown()

    def _take_back(self, patiently: bool) -> None:
        terminal, self._terminal = self._terminal, None
        assert terminal is not None
        if sys.breakpointhook == self._debug:
            sys.breakpointhook = self._hook
        terminal.take_back(patiently)

    def _debug(self, *args: Any, **named: Any) -> Any:
        """In the place of `breakpoint()`: a debugger needs the terminal."""
        if self._terminal is not None:
            self._fall_back()
        if self._hook is sys.__breakpointhook__ and os.environ.get("PYTHONBREAKPOINT", "") == "":
            import pdb

            return pdb.Pdb().set_trace(sys._getframe(1))  # where the caller is, not here
        return self._hook(*args, **named)


class _SoFar:
    """What a block needs to continue where a screen has ended: the values of the epochs, and the place."""

    def __init__(self, started: Started, now: float) -> None:
        self.started = started
        self.finished: Finished | None = None
        self._begun = now
        self._position, self._last = started.position, Stepped(Split.TRAIN, 0, 0, 0, None, {})
        self._saved: Saved | None = None
        self._history = {
            split: {name: dict(values) for name, values in metrics.items()}
            for split, metrics in started.history.items()
        }

    def take(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if event.split is Split.TRAIN:
                self._last = event
        elif isinstance(event, SplitEnded):
            values = self._history.setdefault(event.split, {})
            for name, reading in event.readings.items():
                if not isinstance(reading.value, str):
                    values.setdefault(name, {})[event.epoch] = reading.value
        elif isinstance(event, EpochEnded):
            self._position = Position(event.epoch)
        elif isinstance(event, Saved):
            self._saved = event
        elif isinstance(event, Finished):
            self.finished = event

    def shown(self, words: str | None = None) -> CliRenderer:
        """A renderer that has it on the terminal; `words`: instead of where the run is."""
        position, last = self._position, self._last
        if last.epoch > position.epoch:
            position = Position(last.epoch, last.batch)
        epoch, epochs = min(position.finished_epochs + 1, self.started.epochs), self.started.epochs
        where = f"in epoch {epoch} of {epochs}, in {printable(readable(self.started.directory))}"
        plain = CliRenderer()
        plain.take_over(
            replace(self.started, position=position, history=self._history, update=last.update),
            self.started,
            self._begun,
            words or f"the screen is closed, training continues {where}",
        )
        for event in (self._saved, self.finished):
            if event is not None:
                plain.render(event)
        return plain


def _refusal() -> str | None:
    """Why there can be no screen here."""
    stdout = ForgivingStream(sys.stdout)
    try:
        terminal = os.isatty(0) and stdout.draws() and stdout.fileno() == 1 and stdout.can_show(_SHOWN)
    except OSError:
        terminal = False
    if not terminal or sys.platform == "win32":
        return "standard input and output are not a terminal that can be drawn on"
    return missing()


def missing() -> str | None:
    """What the extra `screen` would have installed, None if it is there."""
    try:
        found = version("textual")
    except PackageNotFoundError:
        return "textual is not installed"
    return None if int(found.partition(".")[0]) >= _TEXTUAL else f"textual {found} is older than {_TEXTUAL}"
