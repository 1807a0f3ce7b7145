"""Metrics as text files, one for each metric, split and epoch: the record of a run that outlives it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from multilearn.artifacts import RunDirectory
from multilearn.errors import ConfigurationError
from multilearn.events import Evaluating, Event, Saved, Split, SplitEnded, Started, Stepped
from multilearn.loggers.open_files import MetricFiles, ReplacedFiles
from multilearn.position import Position

__all__ = ["FileMetricLogger"]

_log = logging.getLogger("multilearn")


class FileMetricLogger:
    """Writes `<split>/epoch-<n>/<metric>.log` in the directory of the run: a line per batch, then the epoch value.

    Where a run goes on, the files of finished epochs are left alone and those of later ones removed; inside an epoch
    the lines up to the position are kept. What is logged reaches the disk within a second, with a batch.

    An evaluation goes into `test/<name>/<metric>.log`: an earlier one under that name is replaced when it is complete.
    """

    def __init__(self) -> None:
        self._files: MetricFiles | ReplacedFiles | None = None

    def log(self, event: Event) -> None:
        match event:
            case Started():
                self.close()
                directory = RunDirectory(event.directory)
                _go_back(directory, event.position, [info.name for info in event.metrics.get(Split.TRAIN, ())])
                self._files = MetricFiles(directory.metric)
            case Evaluating():
                self.close()
                self._files = ReplacedFiles(RunDirectory(event.directory).test(event.name))
            case Stepped():
                self._started().step(event.split, event.epoch, event.readings)
            case SplitEnded():
                self._started().end(event.split, event.epoch, event.readings)
            case Saved():
                self.flush()
            case _:
                pass

    def flush(self) -> None:
        if self._files is not None:
            self._files.flush()

    def close(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()

    def _started(self) -> MetricFiles | ReplacedFiles:
        if self._files is None:
            raise ConfigurationError(
                "A FileMetricLogger writes between Started and close().",
                received="a reading outside of a run",
                remedy="Give it a Started event first: that names the directory.",
            )
        return self._files


def _go_back(directory: RunDirectory, position: Position, metrics: Iterable[str]) -> None:
    """Make the metric files say what they said at `position`."""
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in directory.epochs(split).items():
            inside = split is Split.TRAIN and epoch == position.epoch and position.batch is not None
            if epoch > position.finished_epochs and not inside:
                _remove(folder)
    if position.batch is not None:
        folder = directory.epoch(Split.TRAIN, position.epoch)
        expected = {directory.metric(Split.TRAIN, position.epoch, name) for name in metrics}
        for path in sorted(expected | set(_metric_files(folder))):
            _keep_lines(path, position)


def _metric_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.log") if path.is_file()]


def _remove(folder: Path) -> None:
    for path in _metric_files(folder):
        path.unlink()
    with contextlib.suppress(OSError):  # somebody else's files are in it: it stays, with them
        folder.rmdir()


def _keep_lines(path: Path, position: Position) -> None:
    """Cut the file after the line of the position's batch; what a kill tore, and the final line, go too."""
    wanted, kept, size = position.batch or 0, 0, 0
    if path.exists():
        with path.open("r+b") as file:
            for line in file:
                if kept == wanted or not line.endswith(b"\n") or line.endswith(b",final\n"):
                    break
                kept, size = kept + 1, size + len(line)
            file.truncate(size)
    if kept < wanted:
        epoch = position.epoch
        _log.warning(
            "%s has only %d of the first %d batches of epoch %d; the others stay lost.", path, kept, wanted, epoch
        )
