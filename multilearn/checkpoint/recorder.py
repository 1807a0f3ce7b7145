"""How a record becomes a file, and is one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from multilearn.protocols import Record

__all__ = ["Contents", "Readable", "Recorder", "Writable"]


class Writable(Protocol):
    """A file opened for writing bytes."""

    def write(self, data: bytes, /) -> object: ...


class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Contents:
    """What is in a file: the record, and what was said about it."""

    item: Record
    metadata: Mapping[str, Any]


@runtime_checkable
class Recorder(Protocol):
    """One file format. Equal records with equal metadata give equal bytes."""

    @property
    def extension(self) -> str:
        """How its file names end, without the leading dot."""
        ...

    def write(self, file: Writable, item: Record, metadata: Mapping[str, Any]) -> int:
        """Write a record without copying its tensors; returns its uncompressed size in bytes.

        Raises `CheckpointError` if it holds something that the format has no place for.
        """
        ...

    def read(self, file: Readable, limit: int) -> Contents:
        """Read a record of at most `limit` uncompressed bytes, whatever the file claims.

        Raises `RecordError` if the file is anything else than one intact record; nothing else.
        """
        ...
