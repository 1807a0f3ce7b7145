"""How far a run is, how fast it goes, and when it will be done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from multilearn.events import EpochEnded, Event, Finished, Position, Reading, Saved, Split, SplitEnded, Started, Stepped

__all__ = ["Origin", "Pace", "RunState", "running"]

_MEMORY_SECONDS = 30.0
_BURST_SECONDS = 0.05


class Pace:
    """Seconds per batch lately: older batches fade, and the first one, in which steps are compiled, does not count.

    Batches are reported in bursts, after the time that all of them took: those that come with the first do not count.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._batches = 0.0
        self._since_first: float | None = None

    def batch(self, elapsed: float) -> None:
        """One more batch took `elapsed` seconds."""
        if self._since_first is None:
            self._since_first = 0.0
            return
        self._since_first += elapsed
        if self._since_first < _BURST_SECONDS:
            return
        fading = math.exp(-elapsed / _MEMORY_SECONDS)
        self._time = self._time * fading + elapsed
        self._batches = self._batches * fading + 1.0

    @property
    def seconds_per_batch(self) -> float | None:
        return self._time / self._batches if self._time > 0 else None


class Origin(NamedTuple):
    """Where a run began that another renderer has shown up to here, and in which words that is said."""

    started: Started
    words: str


class RunState:
    """What there is to show of a run, folded from its events. Times are in seconds on any steady clock."""

    def __init__(self, started: Started, now: float) -> None:
        position = started.position
        self.started = started
        self.epoch = min(position.finished_epochs + 1, started.epochs)
        self.split = Split.TRAIN
        self.batch = position.batch or 0
        self.learning_rate: float | None = None
        self.finished: Finished | None = None
        self.saved: Position | None = None
        self.begun = now
        self.curves = {
            split: {name: dict(values) for name, values in metrics.items()}
            for split, metrics in started.history.items()
        }
        self._values: dict[Split, dict[str, float | str]] = {
            split: {name: values[max(values)] for name, values in metrics.items() if values}
            for split, metrics in self.curves.items()
        }
        self._newest: dict[Split, Mapping[str, Reading]] = {}
        self.current: set[Split] = set()
        """The splits whose values are of the current epoch."""
        self._ended: set[Split] = {Split.TRAIN, Split.VALID} if position.finished_epochs >= started.epochs else set()
        self._lengths = dict(started.batches)
        self._paces = {split: Pace() for split in Split}
        self._last = now

    def take(self, event: Event, now: float) -> None:
        match event:
            case Stepped():
                self._enter(event.split, event.epoch)
                self.batch = event.batch
                self.learning_rate = event.learning_rate if event.learning_rate is not None else self.learning_rate
                self._paces[event.split].batch(now - self._last)
                self._last = now
                self.current.add(event.split)
                self._newest[event.split] = event.readings
            case SplitEnded():
                self._enter(event.split, event.epoch)
                self._ended.add(event.split)
                self._lengths[event.split] = self.batch
                self.current.add(event.split)
                exact = {name: reading.value for name, reading in event.readings.items()}
                self.values.setdefault(event.split, {}).update(exact)
                curves = self.curves.setdefault(event.split, {})
                for name, reading in event.readings.items():
                    if not isinstance(reading.value, str):
                        curves.setdefault(name, {})[event.epoch] = reading.value
            case EpochEnded():
                self._ended = set(Split)
            case Saved():
                self.saved = event.position
            case Finished():
                self.finished = event
            case _:
                pass

    def resume_clock(self, now: float) -> None:
        """The time up to `now` is that of no batch: what came until then had happened before."""
        self.begun = self._last = now

    @property
    def values(self) -> dict[Split, dict[str, float | str]]:
        """What each metric is now, by split: looked at when it is drawn, not in every batch."""
        while self._newest:
            split, readings = self._newest.popitem()
            values = {name: running(reading) for name, reading in readings.items()}
            self._values.setdefault(split, {}).update(values)
        return self._values

    @property
    def total(self) -> int | None:
        """Batches in the current split, if known."""
        return self._lengths.get(self.split)

    @property
    def rate(self) -> float | None:
        """Batches per second of the current split."""
        pace = self._paces[self.split].seconds_per_batch
        return 1 / pace if pace else None

    @property
    def remaining(self) -> float | None:
        """Seconds to the end of the run, if it is known; validation counts like training until it is measured."""
        training = self._paces[Split.TRAIN].seconds_per_batch
        time = 0.0
        for split in (Split.TRAIN, Split.VALID):
            length = self._lengths.get(split, 0)
            pace = self._paces[split].seconds_per_batch or training
            if length is None or (length and pace is None):
                return None
            done = self.batch if split is self.split else 0
            left = self.started.passes(split, self.epoch) - self.started.passes(split, self.epoch - 1)
            now = 0 if split in self._ended or not left else max(0, length - done)
            later = self.started.passes(split, self.started.epochs) - self.started.passes(split, self.epoch)
            time += (now + later * length) * (pace or 0.0)
        return time

    def _enter(self, split: Split, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.batch = epoch, 0
            self._ended.clear()
            self.current.clear()
        if split is not self.split:
            self.split, self.batch = split, 0


def running(reading: Reading) -> float | str:
    """The value over the epoch so far; of a text, that of the batch."""
    return reading.value if reading.running == "" else reading.running
