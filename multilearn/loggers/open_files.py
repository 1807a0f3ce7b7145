"""Metric files that are being written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path

from multilearn.artifacts import file_name
from multilearn.events import Reading, Split
from multilearn.loggers.metric_file import format_final, format_line
from multilearn.storage import storing

__all__ = ["MetricFiles", "ReplacedFiles"]

_FLUSH_SECONDS = 1.0


class MetricFiles:
    """The files of the epoch that is going on, opened with their first line, where `path` says."""

    def __init__(self, path: Callable[[Split, int, str], Path]) -> None:
        self._path = path
        self._open: dict[tuple[Split, int, str], tuple[FileIO, list[str]]] = {}
        self._flushed = time.monotonic()

    def step(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        for name, reading in readings.items():
            self._lines(split, epoch, name).append(format_line(reading.value, reading.count))
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def end(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        for name, reading in readings.items():
            self._lines(split, epoch, name).append(format_final(reading.value))
        self.close()

    def flush(self) -> None:
        self._flushed = time.monotonic()
        for file, lines in self._open.values():
            if lines:
                text = "\n".join(lines) + "\n"
                lines.clear()
                with storing(Path(file.name)):
                    _write(file, text.encode())

    def close(self) -> None:
        with contextlib.ExitStack() as files:
            for file, _lines in self._open.values():
                files.enter_context(file)
            try:
                self.flush()
            finally:
                self._open.clear()

    def _lines(self, split: Split, epoch: int, metric: str) -> list[str]:
        key = (split, epoch, metric)
        if key not in self._open:
            path = self._path(split, epoch, metric)
            with storing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._open[key] = path.open("ab", buffering=0), []
        return self._open[key][1]


def _write(file: FileIO, data: bytes) -> None:
    """All of it: a disk that is nearly full takes a part and says so at the next call."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class ReplacedFiles:
    """The files of an evaluation in `folder`: written beside it, and put in the place of earlier ones at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # no name of an evaluation begins with a dot
        self._new = folder.with_name(f".{folder.name}.new")
        self._discard()
        self._files = MetricFiles(lambda split, epoch, metric: self._new / f"{file_name(metric)}.log")

    def step(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        self._files.step(split, epoch, readings)

    def end(self, split: Split, epoch: int, readings: Mapping[str, Reading]) -> None:
        self._files.end(split, epoch, readings)
        with storing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            complete = sorted(self._new.glob("*.log"))
            for path in complete:
                path.replace(self._folder / path.name)
            names = {path.name for path in complete}
            for path in self._folder.glob("*.log"):
                if path.name not in names:
                    path.unlink()
            self._discard()

    def flush(self) -> None:
        self._files.flush()

    def close(self) -> None:
        """What is not complete goes."""
        self._files.close()
        self._discard()

    def _discard(self) -> None:
        if self._new.is_dir():
            for path in self._new.glob("*.log"):
                path.unlink()
            self._new.rmdir()
