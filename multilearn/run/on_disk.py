"""A run as its directory tells it: what was declared, how each session ended, and the finished epochs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Direction, Split, is_validated
from multilearn.loggers.metric_file import EpochValue, read_epoch_value
from multilearn.loggers.timeline import read_timeline
from multilearn.run.environment import Weights
from multilearn.run.experiment import Session, read_document
from multilearn.run.obstacles import refuse_obstacles
from multilearn.storage import throw_away
from multilearn.storage.layout import RunDirectory, metric_name
from multilearn.storage.lock import holder
from multilearn.storage.own_files import files_in
from multilearn.storage.refusals import reading

__all__ = ["RunOnDisk", "heads", "open_run", "open_runs"]

_TRIES = 10
_SPLITS = (Split.TRAIN, Split.VALID)


@dataclass(frozen=True)
class RunOnDisk:
    """One run directory. Files are read when asked for; what was declared is checked by `open_run`."""

    directory: RunDirectory
    declared: Mapping[str, Any]

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def seed(self) -> int | None:
        found = self.declared.get("seed")
        return found if type(found) is int else None

    @property
    def weights(self) -> str | None:
        """The sha256 of the initial weights, None if it was not recorded."""
        return Weights.read(self.declared).sha256

    @cached_property
    def sessions(self) -> tuple[Session, ...]:
        return tuple(Session.read(each) for each in self.declared["sessions"])

    @property
    def backends(self) -> tuple[str, ...]:
        """Those it was trained on, each once, in order."""
        return tuple(dict.fromkeys(session.backend or "unknown" for session in self.sessions))

    @property
    def planned_epochs(self) -> int:
        """How many epochs it was declared with."""
        return self._declared_number("num_epochs")

    @property
    def validate_every(self) -> int:
        """After how many epochs each it was declared to validate."""
        return self._declared_number("validate_every")

    def _declared_number(self, key: str) -> int:
        builder = self.declared.get("builder")
        found = builder.get(key) if isinstance(builder, Mapping) else None
        return found if type(found) is int and found > 0 else 1

    @property
    def trained_on(self) -> str:
        """Its backends, as they are shown."""
        return "+".join(self.backends) or "unknown"

    @property
    def state(self) -> str:
        """How its last session ended: completed, stopped, failed or killed; running while it has not. `"no session"`
        without one. Raises `DirectoryError` if its lock cannot be looked at."""
        if not self.sessions:
            return "no session"
        last = self.sessions[-1]
        if last.ended is not None and last.outcome is not None:
            return last.outcome
        with reading(self.path):
            return "killed" if holder(self.directory.lock) is None else "running"

    @property
    def logs_nothing(self) -> bool:
        """Whether part of an epoch is done, and there is no metric file."""
        return any(line["event"] == "split" for line in read_timeline(self.directory)) and not any(
            any(self.directory.epochs(split)) for split in _SPLITS
        )

    @cached_property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What was declared of each metric, by name."""
        return {str(each["name"]): each for each in self.declared["metrics"]}

    def unit(self, metric: str) -> str:
        """`"share"` for a fraction, else what is written behind a number."""
        return str(self.metrics.get(metric, {}).get("unit", ""))

    def better(self, metric: str) -> Direction | None:
        """Which of its values is the best, None if that is not known."""
        found: Direction | None = self.metrics.get(metric, {}).get("better")
        return found if found in get_args(Direction) else None

    def repeatable(self, metric: str) -> bool:
        """Whether equal runs agree about it; they do not about the machine."""
        return bool(self.metrics.get(metric, {}).get("repeatable", True))

    @cached_property
    def epochs(self) -> Mapping[int, Mapping[tuple[Split, str], EpochValue]]:
        """The exact values of every finished epoch: all its splits are there, but for a validation that the run was
        not declared to have, and all their files have the final line.

        Raises `RecordError` for a metric file that is not of the format, `DirectoryError` for one that cannot be read.
        What a run that is being trained removes meanwhile is looked for again.
        """
        gone: FileNotFoundError | None = None
        with reading(self.path):
            for _ in range(_TRIES):
                try:
                    return self._epochs()
                except FileNotFoundError as error:
                    gone = error
        raise DirectoryError(f"{self.path} is being changed: {gone}.", remedy="Try again later.") from gone

    def _epochs(self) -> Mapping[int, Mapping[tuple[Split, str], EpochValue]]:
        splits = {split: folders for split in _SPLITS if (folders := self.directory.epochs(split))}
        finished = {}
        for epoch in sorted({epoch for folders in splits.values() for epoch in folders}):
            there = [split for split, folders in splits.items() if epoch in folders]
            if splits.keys() - there - self.left_out(epoch):
                continue
            values = {key: value for split in there for key, value in self._metrics(split, epoch)}
            final = {key: value for key, value in values.items() if value is not None}
            if final and len(final) == len(values):
                finished[epoch] = final
        return finished

    def left_out(self, epoch: int) -> set[Split]:
        """The splits that an epoch may be without: the last session's declaration says so, or it has gone past it, as
        earlier sessions may have been declared otherwise."""
        validated = is_validated(epoch, self.validate_every, self.planned_epochs)
        return set() if validated and epoch >= self._newest else {Split.VALID}

    @cached_property
    def _newest(self) -> int:
        return max(self.directory.epochs(Split.TRAIN), default=0)

    def _metrics(self, split: Split, epoch: int) -> Iterator[tuple[tuple[Split, str], EpochValue | None]]:
        folder = self.directory.epoch(split, epoch)
        for path in (folder / name for name in files_in(folder, self.path, ".log")):
            try:
                metric = metric_name(path.stem)
                metric.encode()  # as what is not UTF-8 in the name of a file cannot be
                value = read_epoch_value(path, self.path)
            except FileNotFoundError:
                raise
            except (OSError, UnicodeError) as error:
                raise DirectoryError.unreadable(path, error) from error
            yield (split, metric), value


def open_run(path: Path) -> RunOnDisk:
    """The run in `path`, or the one whose checkpoint folder `path` is; what has been tried of it, where runs are only
    tried. Raises `DirectoryError` if there is none."""
    path = throw_away.found(Path(os.path.expanduser(path)))
    with reading(path):
        return _opened(path)


def open_runs(paths: Sequence[Path]) -> tuple[RunOnDisk, ...]:
    """Several of them, no one twice. Raises `ConfigurationError` (`DirectoryError`)."""
    runs = tuple(open_run(path) for path in paths)
    places = [os.path.realpath(path) for path in paths]
    if twice := [str(path) for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        rule = "Each run is named once, for it is not compared with itself."
        raise ConfigurationError(rule, received=", ".join(twice))
    return runs


def heads(runs: Sequence[RunOnDisk]) -> list[str]:
    """What tells the runs apart: their paths below the directory that all of them are in."""
    above = os.path.commonpath([os.path.dirname(os.path.abspath(run.path)) for run in runs])
    return [os.path.relpath(run.path, above) for run in runs]


def _opened(path: Path) -> RunOnDisk:
    directory = RunDirectory(path)
    if not os.path.isfile(directory.experiment) and path.absolute().name == directory.checkpoints.name:
        directory = RunDirectory(path.absolute().parent)
    if not os.path.isfile(directory.experiment):
        found = "" if os.path.isdir(path) else " (no such directory)"
        raise DirectoryError(
            "A run's directory holds experiment.json.",
            received=f"{path}{found}",
            remedy="Name the directory given to LearnerBuilder, with {backend} and {seed} filled in.",
        )
    refuse_obstacles(directory)
    return RunOnDisk(directory, _declared(directory.experiment))


def _declared(path: Path) -> Mapping[str, Any]:
    declared = read_document(path)
    if declared.get("version") != 1:
        raise DirectoryError(
            f"{path} is of a version that this multilearn does not know.",
            received=repr(declared.get("version")),
            remedy="Read it with the multilearn that wrote it, or a newer one.",
        )
    for key, needed in (("metrics", "name"), ("sessions", "backend")):
        entries = declared.get(key)
        if not isinstance(entries, list) or not all(isinstance(each, dict) and needed in each for each in entries):
            raise DirectoryError(f"{path} must list {key!r}, each with a {needed!r}.", received=repr(entries)[:80])
    return declared
