"""Metrics as text files, one for each metric, split and epoch: the record of a run that outlives it.

Lines are kept by the thread that trains, and written by one beside it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from multilearn.errors import ConfigurationError
from multilearn.events import Evaluating, Event, Reading, Split, SplitEnded, Started, Stepped
from multilearn.loggers.metric_file import format_final, format_line
from multilearn.loggers.rewind import METRICS, go_back, lacking, remove_files
from multilearn.printable import printable
from multilearn.storage.layout import RunDirectory, file_name
from multilearn.storage.own_files import files_in, kind_of, open_own, require_folder
from multilearn.storage.refusals import storing
from multilearn.storage.shield import SHIELD

__all__ = ["FileMetricLogger"]

_log = logging.getLogger("multilearn")
_FLUSH_SECONDS = 1.0


@dataclass(unsafe_hash=True)
class FileMetricLogger:
    """Writes `<split>/epoch-<n>/<metric>.log` in the directory of the run: a line per batch, then the epoch value.

    If a run is resumed, the files of finished epochs are left alone and those of later ones removed; inside an epoch
    the lines up to the position are kept. A thread beside the training hands what was logged to the operating system
    every second, however slow the batches are; at the end of an epoch, before a place inside one is saved, and when the
    run ends, stops or fails, all of it is there before anything else happens. What fails on that thread is raised by
    the next call.

    An evaluation goes into `test/<name>/<metric>.log`: an earlier one under that name is replaced when it is complete.
    """

    def __post_init__(self) -> None:
        self._files: MetricFiles | None = None

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

    def _started(self) -> MetricFiles:
        if self._files is None:
            raise ConfigurationError(
                "A FileMetricLogger writes between Started and close().",
                received="a reading outside of a run",
                remedy="Give it a Started event first: that names the directory.",
            )
        return self._files


class MetricFiles:
    """The files of the current epoch, opened with their first line, where `path` says, in the run in `root`.

    A thread writes every second what has come meanwhile, also while no batch is done: who follows the files sees them
    grow, and a step need not write. `flush`, `end` and `close` write the rest on the thread that calls them. What
    goes wrong on the other one is raised by the next call, once.
    """

    def __init__(self, path: Callable[[Split, int, str], Path], root: Path) -> None:
        self._path, self._root = path, root
        self._of: tuple[Split, int] | None = None
        self._files: dict[str, _Lines] = {}
        self._open: list[_Lines] = []
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: Exception | None = None

    def step(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        self._raise()
        files = self._of_epoch(split, epoch)
        for name, reading in readings.items():
            file = files[name] if name in files else self._opened(split, epoch, name)
            file.waiting.append(_line(reading.value, reading.count))

    def end(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        self._raise()
        files = self._of_epoch(split, epoch)
        for name, reading in readings.items():
            file = files[name] if name in files else self._opened(split, epoch, name)
            file.waiting.append(f"{format_final(reading.value)}\n")
        self._close_files()

    def flush(self) -> None:
        self._raise()
        self._write()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self._close_files()
        finally:
            self._raise()

    def _of_epoch(self, split: Split, epoch: int) -> dict[str, _Lines]:
        if self._of != (split, epoch):
            self._of, self._files = (split, epoch), {}
        return self._files

    def _opened(self, split: Split, epoch: int, metric: str) -> _Lines:
        path = self._path(split, epoch, metric)
        with storing(path), SHIELD:
            descriptor = open_own(path, self._root, os.O_WRONLY | os.O_APPEND | os.O_CREAT, create=True)
            file = self._files[metric] = _Lines(path, open(descriptor, "ab", buffering=0))  # noqa: SIM115
            self._open.append(file)
        if self._thread is None:
            with SHIELD:
                self._thread = threading.Thread(target=self._write_by_and_by, name="multilearn-metrics", daemon=True)
                self._thread.start()
        return file

    def _write_by_and_by(self) -> None:
        while not self._closing.wait(min(_FLUSH_SECONDS, threading.TIMEOUT_MAX)):
            try:
                self._write()
            except Exception as fault:
                self._fault = fault
                return

    def _write(self) -> None:
        with self._writing:
            for file in tuple(self._open):
                file.write()

    def _close_files(self) -> None:
        with contextlib.ExitStack() as files:
            for file in self._open:
                files.callback(file.close)
            try:
                self._write()
            finally:
                self._of, self._files, self._open = None, {}, []

    def _raise(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault


class _Lines:
    """One file, and the lines that are to be written into it.

    One thread puts in and another takes out, each in one operation of the deque, so neither waits for the other.
    """

    def __init__(self, path: Path, file: FileIO) -> None:
        self.file = file
        self._path = path
        self.waiting: deque[str] = deque()
        self._torn = False

    def write(self) -> None:
        """All that is waiting; nothing more once a part of it could not be written."""
        waiting = self.waiting
        lines = [waiting.popleft() for _ in range(len(waiting))]
        if lines and not self._torn:
            self._torn = True
            with storing(self._path):
                rest = memoryview("".join(lines).encode())
                while rest:  # a disk that is nearly full takes a part, and says so at the next call
                    rest = rest[self.file.write(rest) :]
            self._torn = False

    def close(self) -> None:
        with storing(self._path):
            self.file.close()


def _line(value: float | str, count: float | None) -> str:
    """`format_line` with its newline; what nearly all values are goes the short way."""
    if type(value) is float and type(count) is int and value == value:
        return f"{value!r},{count}\n"
    return f"{format_line(value, count)}\n"


class ReplacedFiles(MetricFiles):
    """The files of an evaluation in `folder`: written beside it, and put in the place of earlier ones at the end.

    `root`: the directory of the run.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        # no name of an evaluation begins with a dot
        self._folder, self._new = folder, folder.with_name(f".{folder.name}.new")
        super().__init__(lambda split, epoch, metric: self._new / f"{file_name(metric)}.log", root)
        self._discard()

    def end(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        super().end(split, epoch, readings)
        with storing(self._folder):
            for folder in (self._folder, self._new):
                require_folder(folder, self._root, create=True)
            complete = files_in(self._new, self._root, ".log")
            for name in complete:
                os.replace(self._new / name, self._folder / name)
            for name in set(files_in(self._folder, self._root, ".log")).difference(complete):
                (self._folder / name).unlink()
            self._discard()

    def close(self) -> None:
        """What is not complete goes."""
        super().close()
        self._discard()

    def _discard(self) -> None:
        with storing(self._new):
            if kind_of(self._new) is not None:
                remove_files(self._new, self._root, METRICS)
