"""How a record becomes a file, and is one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from multilearn.protocols import Record

__all__ = ["EXTENSION", "NOWHERE", "Contents", "Readable", "Recorder", "Writable"]


class Writable(Protocol):
    """A file opened for writing bytes."""

    def write(self, data: bytes | memoryview, /) -> object: ...


class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int, /) -> bytes: ...


class _Nowhere:
    """Takes bytes, and keeps none."""

    def write(self, data: bytes | memoryview, /) -> int:
        return len(data)


NOWHERE: Final = _Nowhere()
"""What a record is written into where only its size, or whether it can be written, is asked for."""


@dataclass(frozen=True)
class Contents:
    """What is in a file: the record, and what was said about it."""

    item: Record
    metadata: Mapping[str, Any]


@runtime_checkable
class Recorder(Protocol):
    """One file format. Equal records with equal metadata give equal bytes.

    One of your own, which a run is then also to be read with:

    >>> class Bz2Recorder:
    ...     extension = "mpk.bz2"
    ...     def write(self, file, item, metadata):
    ...         size = MpkRecorder().write(packed := BytesIO(), item, metadata)
    ...         file.write(bz2.compress(packed.getvalue()))
    ...         return size
    ...     def read(self, file, limit):
    ...         try:
    ...             content = bz2.BZ2Decompressor().decompress(file.read(limit), limit + 1)
    ...         except OSError as error:
    ...             raise RecordError("The file must be bzip2.", received=error) from error
    ...         return MpkRecorder().read(BytesIO(content), limit)
    >>> import bz2
    >>> from io import BytesIO
    >>> from multilearn.checkpoint import MpkRecorder
    >>> Bz2Recorder().write(file := BytesIO(), {"a": 1}, {})
    47
    >>> file.seek(0)
    0
    >>> Bz2Recorder().read(file, 1000).item
    {'a': 1}
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


EXTENSION = r"[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)*"
"""What a recorder's extension looks like."""
