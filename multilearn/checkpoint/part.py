"""The file of one part of a checkpoint: written with its checksum, found intact or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from multilearn.checkpoint.manifest import FileFacts
from multilearn.errors import RecordError
from multilearn.protocols import Record
from multilearn.records.recorder import Contents, Recorder
from multilearn.storage import atomic
from multilearn.storage.own_files import kind_of
from multilearn.storage.reading import opened

__all__ = ["fault", "misfit", "read_part", "write_part"]


def write_part(path: Path, recorder: Recorder, record: Record, metadata: Mapping[str, Any]) -> FileFacts:
    """Write a record durably; on an error there is no file."""
    with atomic.written(path) as file:
        digest = _Digest(file)
        uncompressed = recorder.write(digest, record, metadata)
    return FileFacts(digest.size, uncompressed, digest.sha256.hexdigest())


def read_part(path: Path, recorder: Recorder, limit: int) -> Contents:
    """The record in a file. Every error says which file it is."""
    try:
        with opened(path, path.parent.parent) as file:
            return recorder.read(file, limit)
    except (RecordError, OSError) as error:
        raise RecordError(f"{path}: {error}") from error


def fault(path: Path, facts: FileFacts) -> str | None:
    """What is wrong with a file, or None if it is as it was written."""
    if found := misfit(path, facts):
        return found
    try:
        with opened(path, path.parent.parent) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{path.name} cannot be read ({error})"
    return None if digest == facts.sha256 else f"{path.name} was changed after it was written (its sha256 is another)"


def misfit(path: Path, facts: FileFacts) -> str | None:
    """What is wrong with a file as far as its size tells; its content is not looked at."""
    try:
        if (kind := kind_of(path)) != "a file":
            return f"{path.name} is {'missing' if kind is None else f'no file but {kind}'}"
        if (size := path.lstat().st_size) != facts.size:
            return f"{path.name} has {size} bytes instead of {facts.size}"
    except OSError as error:
        return f"{path.name} cannot be read ({error})"
    return None


class _Digest:
    """A file that knows the size and checksum of what was written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview, /) -> None:
        self._file.write(data)
        self.size += len(data)
        self.sha256.update(data)
