"""What a renderer is: it shows a run to a person while it goes on. The default one, plain lines, and a silent one."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar, runtime_checkable

from multilearn.events import (
    EpochEnded,
    Evaluating,
    Event,
    Finished,
    MetricInfo,
    Position,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.printable import printable
from multilearn.renderers.notation import beginning, ending, first_line, rate, seconds, shown
from multilearn.renderers.run_state import Origin
from multilearn.renderers.stream import ForgivingStream

if TYPE_CHECKING:
    from multilearn.renderers.live import LiveBlock

__all__ = ["CliRenderer", "EvaluationLine", "Lines", "Renderer", "SilentRenderer"]

_REFRESH_SECONDS = 0.1
_WHOLE_LINE = "\r\x1b[K"


class Lines:
    """A line where the run starts, one for each epoch, one where it ends. Times are in seconds on any steady clock.

    An epoch's time is that of both splits; its speed is that of its training. `words`: the first line, if it is not
    that of a run that begins.
    """

    def __init__(self, stream: ForgivingStream, started: Started, now: float, words: str | None = None) -> None:
        self._stream = stream
        self._started = started
        self._begun = self._epoch_begun = self._trained = now
        self._batches = 0
        self._saved: Position | None = None
        self._values: dict[Split, list[str]] = {}
        self._stream.say(words or beginning(started))

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped(split=Split.TRAIN):
                self._batches += 1
            case SplitEnded():
                if event.split is Split.TRAIN:
                    self._trained = now
                self._values[event.split] = _exact(self._started.metrics.get(event.split, ()), event)
            case EpochEnded():
                self._stream.say(self._epoch_line(event.epoch, now))
                self._epoch_begun = now
                self._batches = 0
                self._values = {}
            case Finished():
                self._stream.say(ending(self._started, event, now - self._begun, self._saved))
            case Saved():
                self._saved = event.position
            case _:
                pass

    def close(self) -> None:
        self._stream.flush()

    def _epoch_line(self, epoch: int, now: float) -> str:
        parts = [f"epoch {epoch:{len(str(self._started.epochs))}}/{self._started.epochs}"]
        for split, values in self._values.items():
            if values:
                parts += [f"{split} {values[0]}", *values[1:]]
        parts.append(seconds(now - self._epoch_begun))
        time = self._trained - self._epoch_begun
        if self._batches and time > 0:
            parts.append(rate(self._batches / time))
        return "  ".join(parts)


class EvaluationLine:
    """`test clean  Loss 0.1096  Accuracy 97.50 %  0.2 s`, on a terminal redrawn in place while it runs (`live`)."""

    def __init__(self, stream: ForgivingStream, evaluating: Evaluating, now: float, *, live: bool) -> None:
        self._stream = stream
        self._evaluating = evaluating
        self._begun = self._due = now
        self._live = live
        self._drawn = False

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped():
                if self._live and now >= self._due:
                    self._due = now + _REFRESH_SECONDS
                    values = {name: reading.running for name, reading in event.readings.items()}
                    self._draw([self._count(event.batch), *_written(self._evaluating.metrics, values)])
            case SplitEnded():
                self._say([*_exact(self._evaluating.metrics, event), seconds(now - self._begun)])
            case Finished(error=str(error)):
                self._say([f"failed: {first_line(error)}"])
            case _:
                pass

    def close(self) -> None:
        if self._drawn:
            self._stream.write(_WHOLE_LINE)
            self._drawn = False
        self._stream.flush()

    def _count(self, batch: int) -> str:
        total = self._evaluating.batches
        return f"{batch}/{total}" if total else f"{batch} batches"

    def _line(self, parts: list[str]) -> str:
        checkpoint = self._evaluating.checkpoint
        weights = "" if checkpoint is None else f" (checkpoint {checkpoint})"
        return "  ".join([f"test {shown(self._evaluating.name)}{weights}", *parts])

    def _draw(self, parts: list[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"{_WHOLE_LINE}{self._line(parts)[:width]}")
        self._stream.flush()
        self._drawn = True

    def _say(self, parts: list[str]) -> None:
        self.close()
        self._stream.say(self._line(parts))


def _exact(infos: Sequence[MetricInfo], ended: SplitEnded) -> list[str]:
    return _written(infos, {name: reading.value for name, reading in ended.readings.items()})


def _written(infos: Sequence[MetricInfo], values: Mapping[str, float | str]) -> list[str]:
    """`Accuracy 97.50 %`, for each metric that has a value."""
    return [f"{printable(info.name)} {shown(values[info.name], info.unit)}" for info in infos if info.name in values]


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
    for each epoch, one where it ends. An evaluation is one line. A stream that is closed, gone or cannot show a
    character never fails the run.
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
