"""What a renderer is: it shows a run to a person while it goes on. The default one, and the one that shows nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar, runtime_checkable

from multilearn.events import Evaluating, Event, Started
from multilearn.renderers.lines import EvaluationLine, Lines
from multilearn.renderers.stream import ForgivingStream

if TYPE_CHECKING:
    from multilearn.renderers.live import LiveBlock

__all__ = ["CliRenderer", "Renderer", "SilentRenderer"]

T = TypeVar("T")


@runtime_checkable
class Renderer(Protocol):
    """Shows what happens. It sees every event of a run, `Started` first; what it raises stops the run."""

    def host(self, fit: Callable[[], T]) -> T:
        """Run `fit` and return its result; a plain renderer says `return fit()`.

        One that must own the main thread runs itself there and `fit` beside it.
        """
        ...

    def render(self, event: Event) -> None:
        """Take one event. Called on the thread that trains, so it should not take long."""
        ...

    def close(self) -> None:
        """Give the screen back, however the run ended: called at least once, more often without harm."""
        ...


class SilentRenderer:
    """Shows nothing at all."""

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class CliRenderer:
    """Shows a run on `stream`, by default what `sys.stdout` is when the run begins.

    On a terminal: epoch, progress, speed, remaining time, learning rate, metric values and their curves, redrawn in
    place. Otherwise: a line where the run starts, one for each epoch, one where it ends. An evaluation is one
    line. A stream that is closed, gone or cannot show a character never fails the run.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._screen: Lines | LiveBlock | EvaluationLine | None = None

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        if isinstance(event, (Started, Evaluating)):
            self.close()
            self._screen = self._opened(event)
        elif self._screen is not None:
            self._screen.render(event, time.monotonic())

    def close(self) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()

    def _opened(self, started: Started | Evaluating) -> Lines | LiveBlock | EvaluationLine | None:
        stream: TextIO | None = self._stream if self._stream is not None else sys.stdout
        if stream is None:  # a process without standard streams, such as pythonw
            return None
        forgiving = ForgivingStream(stream)
        live = forgiving.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
        if isinstance(started, Evaluating):
            return EvaluationLine(forgiving, started, time.monotonic(), live=live)
        if not live:
            return Lines(forgiving, started, time.monotonic())
        from multilearn.renderers.live import LiveBlock

        return LiveBlock(stream, started, time.monotonic())
