"""The events of a run as what trackers draw: values over updates and over epochs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from multilearn.events import Event, Position, Reading, Split, SplitEnded, Stepped
from multilearn.loggers.attachments import attachments
from multilearn.loggers.metric_file import MetricFile, read_metric_file
from multilearn.loggers.timeline import read_timeline
from multilearn.storage.layout import RunDirectory, metric_name
from multilearn.storage.own_files import files_in

__all__ = ["Point", "Points", "covers", "recorded"]

_SPLITS = (Split.TRAIN, Split.VALID)


@dataclass(frozen=True, slots=True)
class Point:
    """The numeric metrics of a split after `update` optimizer updates, in `epoch`.

    `of_epoch`: whether they are the exact values of the whole epoch, else they are means over the batches since the
    point before.
    """

    split: Split
    epoch: int
    update: int
    values: Mapping[str, float]
    of_epoch: bool


class Points:
    """Folds events into points: of training a mean over each `every` updates, counted from the beginning of an epoch,
    and over what is left at its end; of each split and epoch its exact values. Values that are texts are left out.

    `accumulation`: batches for each update. Batches of a window that is not complete when training ends are no point,
    so that a run that was stopped and resumed has the points of one that was not. `update` is that of the last event.
    """

    def __init__(self, every: int, accumulation: int = 1) -> None:
        self._every, self._accumulation = every, accumulation
        self._epoch = self._begun = self.update = 0
        self._window: list[Mapping[str, Reading]] = []

    def of(self, event: Event) -> Iterator[Point]:
        """The points that `event` completes."""
        if isinstance(event, Stepped):
            if event.split is Split.TRAIN:
                yield from self._step(event)
            self.update = event.update
        elif isinstance(event, SplitEnded):
            self.update = max(self.update, event.update)
            if event.split is Split.TRAIN:
                yield from self._averaged()
            if event.split in _SPLITS and (values := _numeric(event.readings)):
                yield Point(event.split, event.epoch, self.update, values, True)

    def _step(self, event: Stepped) -> Iterator[Point]:
        if event.epoch != self._epoch:
            if not self._epoch or event.batch > 1:  # else what was seen before says it
                self.update = event.update - event.batch // self._accumulation
            self._epoch, self._begun, self._window = event.epoch, self.update, []
        updated, self.update = event.update > self.update, event.update
        self._window.append(event.readings)
        if updated and (event.update - self._begun) % self._every == 0:
            yield from self._averaged()

    def _averaged(self) -> Iterator[Point]:
        window, self._window = self._window, []
        names = dict.fromkeys(name for readings in window for name in readings)
        means = {name: _mean([readings[name] for readings in window if name in readings]) for name in names}
        if values := {name: mean for name, mean in means.items() if mean is not None}:
            yield Point(Split.TRAIN, self._epoch, self.update, values, False)


def recorded(directory: RunDirectory, position: Position, last: int, accumulation: int) -> Iterator[Event]:
    """The events up to `position`, after `last` updates, as the files of a run have them; of validation epoch values.

    `accumulation`: batches for each update, where the timeline does not say otherwise. Raises `RecordError` for a file
    that is not of the format, `OSError` for one that cannot be read.
    """
    ends = {line["epoch"]: line["update"] for line in read_timeline(directory) if line.get("split") == Split.TRAIN}
    train, valid = (directory.epochs(split) for split in _SPLITS)
    update = 0
    for epoch in sorted({*train, *valid}):
        if epoch > position.epoch:
            return
        files = _files(train[epoch], directory.path) if epoch in train else {}
        length = max((len(file.values) for file in files.values()), default=0)
        if epoch > position.finished_epochs:
            done = min(length, position.batch or 0)
            yield from _steps(epoch, files, range(done - 1), update, accumulation)
            if done:
                yield Stepped(Split.TRAIN, epoch, done, last, None, _readings(files, done - 1))
            return
        updates, each = -(-length // accumulation), accumulation
        if (other := ends.get(epoch, 0) - update) > 0 and other != updates:  # it was another one then
            updates, each = other, max(1, -(-length // other))
        yield from _steps(epoch, files, range(length), update, each)
        update += updates
        if files:
            yield SplitEnded(Split.TRAIN, epoch, _finals(files), update)
        if epoch in valid:
            yield SplitEnded(Split.VALID, epoch, _finals(_files(valid[epoch], directory.path)), update)
        yield from attachments(directory, epoch)


def covers(directory: RunDirectory, position: Position) -> bool:
    """Whether there are metric files of all epochs up to `position`."""
    epochs = {epoch for split in _SPLITS for epoch in directory.epochs(split)}
    return epochs.issuperset(range(1, position.epoch + 1))


def _steps(
    epoch: int, files: Mapping[str, MetricFile], numbers: range, update: int, accumulation: int
) -> Iterator[Stepped]:
    for number in numbers:
        done = update + (number + 1) // accumulation
        yield Stepped(Split.TRAIN, epoch, number + 1, done, None, _readings(files, number))


def _files(folder: Path, root: Path) -> dict[str, MetricFile]:
    return {metric_name(name[:-4]): read_metric_file(folder / name, root) for name in files_in(folder, root, ".log")}


def _readings(files: Mapping[str, MetricFile], number: int) -> dict[str, Reading]:
    return {
        name: Reading(file.values[number], file.counts[number])
        for name, file in files.items()
        if number < len(file.values)
    }


def _finals(files: Mapping[str, MetricFile]) -> dict[str, Reading]:
    return {name: Reading(file.final) for name, file in files.items() if file.final is not None}


def _numeric(readings: Mapping[str, Reading]) -> dict[str, float]:
    return {name: float(each.value) for name, each in readings.items() if not isinstance(each.value, str)}


def _mean(readings: Iterable[Reading]) -> float | None:
    """Weighted by the counts, if all have one; None if there is nothing to average."""
    numbers = [(float(each.value), each.count) for each in readings if not isinstance(each.value, str)]
    counted = [(value, float(count)) for value, count in numbers if count is not None]
    if len(counted) < len(numbers):
        return sum(value for value, _ in numbers) / len(numbers)
    weight = sum(count for _, count in counted)
    return sum(value * count for value, count in counted if count) / weight if weight else None
