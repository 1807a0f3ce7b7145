"""What a renderer is: it shows a run to a person while it trains. The default one, plain lines, and a silent one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar, runtime_checkable

from multilearn.events import Evaluating, Event, Finished, Started
from multilearn.renderers.lines import EvaluationLine, Lines
from multilearn.renderers.run_state import Origin
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


@dataclass
class SilentRenderer:
    """Shows nothing at all."""

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class CliRenderer:
    """Shows a run on `stream`, by default what `sys.stdout` is when the run begins.

    On a terminal: epoch, progress, speed, remaining time, learning rate, and the metrics, with a chart of each plotted
    one if there is room, redrawn in place. Otherwise, or unless it is to be `live`: a line where the run starts, one
    for each epoch, one a minute inside a long epoch, one where it ends. An evaluation is one line, if it takes no
    minute. A stream that is closed, gone or cannot show a character never fails the run.
    """

    stream: TextIO | None = None
    live: bool = True

    def __post_init__(self) -> None:
        self._screen: Lines | LiveBlock | EvaluationLine | None = None

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        if isinstance(event, (Started, Evaluating)):
            self.close()
            self._screen = self._opened(event, time.monotonic())
        elif self._screen is not None:
            if isinstance(event, Finished) and event.error is not None:
                # what it says is said by Python
                event = replace(event, error=event.error.partition(":")[0])
            self._screen.render(event, time.monotonic())

    def close(self) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()

    def take_over(self, here: Started, started: Started, begun: float, words: str) -> None:
        """Show a run from `here` on that another renderer has shown since it `started`, at `begun` on
        `time.monotonic`. On a terminal it begins with `words`."""
        self._screen = self._opened(here, begun, Origin(started, words))

    def _opened(
        self, started: Started | Evaluating, now: float, origin: Origin | None = None
    ) -> Lines | LiveBlock | EvaluationLine | None:
        stream: TextIO | None = self.stream if self.stream is not None else sys.stdout
        if stream is None:  # a process without standard streams, such as pythonw
            return None
        forgiving = ForgivingStream(stream)
        live = self.live and forgiving.draws()
        if isinstance(started, Evaluating):
            return EvaluationLine(forgiving, started, now, live=live)
        if not live:
            return Lines(forgiving, started, now, None if origin is None else origin.words)
        from multilearn.renderers.live import LiveBlock

        return LiveBlock(stream, started, now, origin)
