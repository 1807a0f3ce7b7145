"""history.log: the values of the finished epochs, one line after the other. A checkpoint says how much of it counts.

A line is `<crc32> ["train",3,{"Loss":0.25}]`: the checksum of what follows the space, then split, epoch and values as
JSON. What JSON has no number for is the text `nan`, `inf` or `-inf`. Of two lines of one epoch the later one counts.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from multilearn.events import Split
from multilearn.history import History
from multilearn.storage import atomic
from multilearn.storage.own_files import open_file
from multilearn.storage.reading import opened, parsed
from multilearn.storage.refusals import storing

__all__ = ["Journal", "JournalFile", "fault", "is_extent", "read_journal"]

_LONGEST = 1 << 20  # bytes of a line


class Journal:
    """The lines of a run, in the order in which they came to be, and the history that they tell."""

    def __init__(self) -> None:
        self.history = History()
        self._lines: list[bytes] = []
        self._size = 0
        self._sha256 = hashlib.sha256()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, split: Split, epoch: int, values: Mapping[str, float]) -> None:
        """The values of one more epoch of a split. The same again, as a validation that is repeated has it, is none."""
        numbers = {name: float(value) for name, value in values.items()}
        line = _line(split, epoch, numbers)
        if not self._lines or self._lines[-1] != line:
            self._lines.append(line)
            self._size += len(line)
            self._sha256.update(line)
            self.history = self.history.with_epoch(split, epoch, numbers)

    def extent(self) -> dict[str, Any]:
        """How much of the file a record counts: its first so many bytes, with that checksum."""
        return {"size": self._size, "sha256": self._sha256.hexdigest()}

    def content(self, count: int, after: int = 0) -> bytes:
        """The first `count` lines, without the first `after`. May be asked on any thread."""
        return b"".join(islice(self._lines, after, count))

    @classmethod
    def of_state(cls, state: Mapping[str, Any], last: int) -> Journal:
        """That of a record of version 0.1, which has the history of epochs up to `last` in itself."""
        past, journal = History.from_state(state).table(), cls()
        epochs = sorted({epoch for metrics in past.values() for series in metrics.values() for epoch in series})
        if Split.TEST in past or any(type(epoch) is not int or not 1 <= epoch <= last for epoch in epochs):
            raise ValueError("a history of what was not trained")
        for epoch in epochs:
            for split, metrics in past.items():
                if values := {name: series[epoch] for name, series in metrics.items() if epoch in series}:
                    journal.add(split, epoch, values)
        return journal


class JournalFile:
    """The file of a run that saves: written whole at the first save of a process, and appended to from then on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._size: int | None = None

    def hold(self, journal: Journal, count: int) -> None:
        """Have the first `count` lines in the file, durably. Raises `StorageError`.

        What a checkpoint of this run counts of the file is in it all the time: it is replaced in one step by one that
        begins equally, or only ever longer.
        """
        if self._size is None or not self._is_ours():
            content = journal.content(count)
            if content:
                with storing(self._path):
                    atomic.make_folder(self._path.parent)
                atomic.write_atomically(self._path, content)
            self._size = len(content) if content else None
        elif new := journal.content(count, self._count):
            self._append(new)
            self._size += len(new)
        self._count = count

    def _append(self, new: bytes) -> None:
        root = self._path.parent.parent
        with storing(self._path), open_file(self._path, root, os.O_WRONLY | os.O_APPEND) as file:
            file.write(new)
            file.flush()
            os.fsync(file.fileno())

    def _is_ours(self) -> bool:
        """Whether it is as it was left: not if a write failed half-way, or another hand was at work."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        return found.st_size == self._size and stat.S_ISREG(found.st_mode)


def is_extent(history: object) -> bool:
    """Whether a record says how much of the journal counts: older ones have the history in themselves."""
    return isinstance(history, Mapping) and "sha256" in history


def _checked(extent: Mapping[str, Any]) -> tuple[int, str]:
    size, sha256 = extent["size"], extent["sha256"]
    if type(size) is not int or size < 0 or not isinstance(sha256, str):
        raise ValueError(f"{size!r} bytes with the hash {sha256!r}")
    return size, sha256


def read_journal(path: Path, extent: Mapping[str, Any], last: int) -> tuple[Journal, str | None]:
    """What the file says up to there, of epochs up to `last`; and what is wrong with it, None if nothing is.

    Lines that are not whole, or not ours, are left out.
    """
    size, sha256 = _checked(extent)
    journal, problem = Journal(), None
    try:
        for line in _lines(path, size):
            with suppress(ValueError, TypeError, OverflowError):
                journal.add(*_parsed(line, last))
    except OSError as error:
        problem = _unreadable(path, error)
    else:
        if journal.extent() != {"size": size, "sha256": sha256}:
            problem = f"{path.name} is not as it was written"
    return journal, problem


def fault(path: Path, extent: Mapping[str, Any]) -> str | None:
    """What is wrong with the part of the file that a checkpoint counts; None if it is as it was written."""
    size, sha256 = _checked(extent)
    digest = hashlib.sha256()
    try:
        for line in _lines(path, size):
            digest.update(line)
    except OSError as error:
        return _unreadable(path, error)
    return None if digest.hexdigest() == sha256 else f"{path.name} is not as it was written"


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"{path.name} is missing" if isinstance(error, FileNotFoundError) else f"{path.name} cannot be read ({error})"
    )


def _line(split: Split, epoch: int, values: Mapping[str, float]) -> bytes:
    plain = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
    text = json.dumps([split.value, epoch, plain], separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _parsed(line: bytes, last: int) -> tuple[Split, int, dict[str, float]]:
    """Raises `ValueError` for any line that `_line` does not make, or of an epoch after `last`."""
    found = parsed(line[9:-1], numbers=False)
    if not isinstance(found, list) or len(found) != 3 or not isinstance(found[2], dict):
        raise ValueError("no entry")
    split, epoch, values = Split(found[0]), found[1], {name: float(value) for name, value in found[2].items()}
    if type(epoch) is not int or not 1 <= epoch <= last or _line(split, epoch, values) != line:
        raise ValueError("no entry")
    return split, epoch, values


def _lines(path: Path, size: int) -> Iterator[bytes]:
    """Those in the first `size` bytes of the file, which need not be there for none. Raises `OSError`."""
    if not size:
        return
    with opened(path, path.parent.parent) as file:
        while size and (line := file.readline(min(size, _LONGEST))):
            size -= len(line)
            yield line
