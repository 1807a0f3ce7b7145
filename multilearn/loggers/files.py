"""Metrics as text files, one for each metric, split and epoch: the record of a run that outlives it."""

from __future__ import annotations

import logging

from multilearn.errors import ConfigurationError
from multilearn.events import Evaluating, Event, Split, SplitEnded, Started, Stepped
from multilearn.loggers.metric_writer import MetricFiles, ReplacedFiles
from multilearn.loggers.rewind import go_back, lacking
from multilearn.printable import printable
from multilearn.storage.layout import RunDirectory

__all__ = ["FileMetricLogger"]

_log = logging.getLogger("multilearn")


class FileMetricLogger:
    """Writes `<split>/epoch-<n>/<metric>.log` in the directory of the run: a line per batch, then the epoch value.

    Where a run goes on, the files of finished epochs are left alone and those of later ones removed; inside an epoch
    the lines up to the position are kept. A thread beside the training hands what was logged to the operating system
    every second, however slow the batches are; at the end of an epoch, before a place inside one is saved, and when the
    run ends, stops or fails, all of it is there before anything goes on. What goes wrong on that thread is raised by
    the next call.

    An evaluation goes into `test/<name>/<metric>.log`: an earlier one under that name is replaced when it is complete.
    """

    def __init__(self) -> None:
        self._files: MetricFiles | ReplacedFiles | None = None

    def log(self, event: Event) -> None:
        if type(event) is Stepped:  # by far the most
            self._started().step(event.split, event.epoch, event.readings)
            return
        match event:
            case Started():
                self.close()
                directory = RunDirectory(event.directory)
                go_back(directory, event.position)
                metrics = [info.name for info in event.metrics.get(Split.TRAIN, ())]
                for warning in lacking(directory, event.position, metrics):
                    _log.warning("%s", printable(warning))
                self._files = MetricFiles(directory.metric, directory.path)
            case Evaluating():
                self.close()
                directory = RunDirectory(event.directory)
                self._files = ReplacedFiles(directory.test(event.name), directory.path)
            case SplitEnded():
                self._started().end(event.split, event.epoch, event.readings)
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
