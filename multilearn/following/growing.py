"""Files of lines that are read on from where they were read to."""

from __future__ import annotations

import math
import os
from collections import deque
from pathlib import Path

from multilearn.errors import MultilearnError, RecordError
from multilearn.events import Reading
from multilearn.loggers.metric_file import FINAL, parse_line
from multilearn.protocols import UNAVAILABLE
from multilearn.storage.reading import opened

__all__ = ["Cut", "GrowingFile", "GrowingMetric"]

_CHUNK = 1 << 20  # bytes


class Cut(MultilearnError):
    """A file is shorter than what was read of it: the run is resumed from an earlier place."""


class GrowingFile:
    """A file of lines that is read on from where it was read to."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        self._at, self._rest = 0, b""

    def read(self) -> list[bytes]:
        """The next lines with their newlines; none if there is nothing more now. Raises `Cut`, `FileNotFoundError`."""
        with opened(self._path, self._root) as file:
            if os.fstat(file.fileno()).st_size < self._at:
                raise Cut(f"{self._path} is shorter than it was.")
            file.seek(self._at)
            data = file.read(_CHUNK)
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line + b"\n" for line in lines]


class GrowingMetric(GrowingFile):
    """A metric file: the values and counts of the batches that were not taken yet, and the value of the epoch."""

    def __init__(self, path: Path, root: Path) -> None:
        super().__init__(path, root)
        self.values: deque[tuple[float | str, float | None]] = deque()
        self.final: float | str | None = None
        self._total = self._count = 0.0
        self._kinds: set[bool] = set()

    def next_reading(self) -> Reading:
        """That of the next batch that was read. Of what is a mean it has the mean so far, by the counts."""
        value, count = self.values.popleft()
        if isinstance(value, str) or count is None:
            return Reading(value, count)
        self._total += value * count if count else 0.0
        self._count += count
        return Reading(value, count, self._total / self._count if self._count else math.nan)

    def read(self) -> list[bytes]:
        lines = super().read()
        for line in lines:
            try:
                if self.final is not None:
                    raise ValueError("a line after the final one")
                value, tail = parse_line(line[:-1].decode())
                if value != UNAVAILABLE:
                    self._kinds.add(isinstance(value, str))
                if len(self._kinds) > 1:
                    raise ValueError("a text among numbers")
                if tail == FINAL:
                    self.final = value
                else:
                    self.values.append((value, None if tail is None else float(tail)))
            except ValueError as error:
                raise RecordError(
                    "A metric file has lines `value,count` or `value`, then `value,final`.",
                    received=f"{self._path}: {line[:80]!a}",
                    remedy="Resume the run from a checkpoint of an earlier epoch.",
                ) from error
        return lines
