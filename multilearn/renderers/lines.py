"""A run, or an evaluation, as lines: in a pipe, in a file, and if nothing can be redrawn."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence

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
from multilearn.renderers.run_state import running
from multilearn.renderers.stream import ForgivingStream

__all__ = ["EvaluationLine", "Lines"]

_REFRESH_SECONDS = 0.1
_WHOLE_LINE = "\r\x1b[K"
_SILENT_SECONDS = 60.0
"""After which a long epoch says how far it is, if nothing is redrawn in place."""


class Lines:
    """A line where the run starts, one for each epoch, one a minute of an epoch that takes longer, one where it ends.
    Times are in seconds on any steady clock.

    An epoch's time is that of both splits; its speed is that of its training. `words`: the first line, if it is not
    that of a run that begins.
    """

    def __init__(self, stream: ForgivingStream, started: Started, now: float, words: str | None = None) -> None:
        self._stream = stream
        self._started = started
        self._begun = self._epoch_begun = self._trained = now
        self._batches = 0
        self._progress = _Minutes(now)
        self._saved: Position | None = None
        self._values: dict[Split, list[str]] = {}
        self._stream.say(words or beginning(started))

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped():
                self._batches += event.split is Split.TRAIN
                infos, total = self._started.metrics.get(event.split, ()), self._started.batches.get(event.split)
                for parts in self._progress.of(event, infos, total, now):
                    self._stream.say("  ".join([self._head(event.epoch), event.split, *parts]))
            case SplitEnded():
                if event.split is Split.TRAIN:
                    self._trained = now
                self._values[event.split] = _exact(self._started.metrics.get(event.split, ()), event)
            case EpochEnded():
                self._stream.say(self._epoch_line(event.epoch, now))
                self._progress = _Minutes(now)
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

    def _head(self, epoch: int) -> str:
        return f"epoch {epoch:{len(str(self._started.epochs))}}/{self._started.epochs}"

    def _epoch_line(self, epoch: int, now: float) -> str:
        parts = [self._head(epoch)]
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
        self._progress = _Minutes(now)
        self._drawn = False

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped() if not self._live:
                for parts in self._progress.of(event, self._evaluating.metrics, self._evaluating.batches, now):
                    self._stream.say(self._line(parts))
            case Stepped() if now >= self._due:
                self._due = now + _REFRESH_SECONDS
                values = {name: running(reading) for name, reading in event.readings.items()}
                count = _count(event.batch, self._evaluating.batches)
                self._draw([count, *_written(self._evaluating.metrics, values)])
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


class _Minutes:
    """Says once a minute how far an epoch is: its batches, its metrics so far, and the speed since it was last said."""

    def __init__(self, now: float) -> None:
        self._said = self._last = self._since = now
        self._split: Split | None = None
        self._batches = 0

    def of(self, event: Stepped, infos: Sequence[MetricInfo], total: int | None, now: float) -> Iterator[list[str]]:
        """The parts of a line, if one is due."""
        if event.split is not self._split:
            # another speed
            self._split, self._since, self._batches = event.split, self._last, 0
        self._batches += 1
        self._last = now
        if now - self._said >= _SILENT_SECONDS and now > self._since:
            # a value that is not known of the epoch so far would be that of a batch
            values = {name: reading.running for name, reading in event.readings.items() if reading.running != ""}
            yield [_count(event.batch, total), *_written(infos, values), rate(self._batches / (now - self._since))]
            self._said, self._since, self._batches = now, now, 0


def _count(batch: int, total: int | None) -> str:
    return f"{batch}/{total}" if total else f"{batch} batches"


def _exact(infos: Sequence[MetricInfo], ended: SplitEnded) -> list[str]:
    return _written(infos, {name: reading.value for name, reading in ended.readings.items()})


def _written(infos: Sequence[MetricInfo], values: Mapping[str, float | str]) -> list[str]:
    """`Accuracy 97.50 %`, for each metric that has a value."""
    return [f"{printable(info.name)} {shown(values[info.name], info.unit)}" for info in infos if info.name in values]
