"""Progress as plain lines: for pipes, files and notebooks."""

from __future__ import annotations

from multilearn.events import EpochEnded, Event, Finished, Position, Saved, Split, SplitEnded, Started, Stepped
from multilearn.printable import printable
from multilearn.renderers.notation import beginning, ending, rate, seconds, shown
from multilearn.renderers.stream import ForgivingStream

__all__ = ["Lines"]


class Lines:
    """A line where the run starts, one for each epoch, one where it ends. Times are in seconds on any steady clock.

    An epoch's time is that of both splits; its speed is that of its training.
    """

    def __init__(self, stream: ForgivingStream, started: Started, now: float) -> None:
        self._stream = stream
        self._started = started
        self._begun = self._epoch_begun = self._trained = now
        self._batches = 0
        self._saved: Position | None = None
        self._values: dict[Split, list[str]] = {}
        self._stream.say(beginning(started))

    def render(self, event: Event, now: float) -> None:
        match event:
            case Stepped(split=Split.TRAIN):
                self._batches += 1
            case SplitEnded():
                if event.split is Split.TRAIN:
                    self._trained = now
                infos = self._started.metrics.get(event.split, ())
                self._values[event.split] = [
                    f"{printable(info.name)} {shown(event.readings[info.name].value, info.unit)}"
                    for info in infos
                    if info.name in event.readings
                ]
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
