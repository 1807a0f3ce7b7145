"""How a record becomes a file, and is one again; what every file says of itself: the format and its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from multilearn.errors import CheckpointError, RecordError
from multilearn.protocols import Record

__all__ = [
    "EXTENSION",
    "FORMAT",
    "RESERVED",
    "VERSION",
    "Contents",
    "Readable",
    "Recorder",
    "Writable",
    "check_heading",
    "damaged",
    "heading",
]

FORMAT = "multilearn"
VERSION = 1
RESERVED = frozenset({"format", "precision", "version"})
"""`precision` was "half" in records of earlier versions whose floats were stored as F16."""

EXTENSION = r"[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*"
"""What a recorder's extension looks like."""


class Writable(Protocol):
    """A file opened for writing bytes."""

    def write(self, data: bytes | memoryview, /) -> object: ...


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
    """One file format. Equal records with equal metadata give equal bytes.

    One of your own is in docs/extending.md; a run that it wrote is also read with it.
    """

    @property
    def extension(self) -> str:
        """How its file names end, without the leading dot."""
        ...

    def write(self, file: Writable, item: Record, metadata: Mapping[str, Any]) -> int:
        """Write a record without copying its tensors; returns how many uncompressed bytes reading it takes.

        `metadata`: in a checkpoint, `part` says which of `model`, `optim` and `scheduler` it is, `checkpoint` of which.
        Raises `CheckpointError` if there is something that the format has no place for.
        """
        ...

    def read(self, file: Readable, limit: int) -> Contents:
        """Read a record of at most `limit` uncompressed bytes, whatever the file claims.

        Raises `RecordError` if the file is anything else than one intact record; nothing else.
        """
        ...


def heading(item: object, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata to write with `item`. Raises `CheckpointError` for an item that is no map, and for reserved keys."""
    if taken := RESERVED & metadata.keys():
        raise CheckpointError(
            "The metadata keys format, precision and version belong to the file format.",
            received=", ".join(sorted(taken)),
            remedy="Choose other keys.",
        )
    if not isinstance(item, Mapping):
        raise CheckpointError("A record is a map.", received=type(item).__name__, remedy="Put it into one.")
    return {"format": FORMAT, "version": VERSION, **metadata}


def check_heading(metadata: Mapping[str, Any]) -> None:
    """Raise `RecordError` unless a record with this metadata can be read here."""
    if metadata.get("format") != FORMAT:
        raise damaged("A record says in its metadata that it is one of multilearn.", "a file of another format")
    version = metadata.get("version")
    if type(version) is not int or version != VERSION:
        raise RecordError(
            f"This multilearn reads records of version {VERSION}.",
            received=f"version {str(version)[:100]}",
            remedy="Read it with the multilearn that wrote it, or a later one.",
        )


def damaged(rule: str, received: object) -> RecordError:
    """The error for a file that is no intact record."""
    remedy = 'Use another checkpoint ("latest" takes the newest intact one), or copy the file again.'
    return RecordError(rule, received=received, remedy=remedy)
