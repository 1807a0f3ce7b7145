"""What is in one record, and whether it is intact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multilearn.commands.text import Sentences, TextTable, as_text, document, size
from multilearn.errors import DirectoryError, RecordError
from multilearn.printable import plural
from multilearn.records.formats import largest, recorder_of
from multilearn.records.tensors import HostTensor
from multilearn.storage.reading import opened

__all__ = ["InspectedRecord", "RecordEntry", "inspect_record"]

_LONGEST = 200  # characters of a key: a hostile file may have one of megabytes above a million others


@dataclass(frozen=True)
class RecordEntry:
    """One leaf of a record. A tensor has dtype, shape and bytes; of anything else `value` is what it is, shortened."""

    key: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    bytes: int | None = None
    value: str | None = None


@dataclass(frozen=True)
class InspectedRecord:
    """A record file of `size` bytes; `problem` says why it could not be read, None if it is intact."""

    file: Path
    size: int
    metadata: Mapping[str, Any]
    entries: tuple[RecordEntry, ...]
    problem: str | None

    @property
    def intact(self) -> bool:
        return self.problem is None

    @property
    def total(self) -> int:
        """The bytes of all tensors, uncompressed."""
        return sum(entry.bytes or 0 for entry in self.entries)

    def as_json(self) -> str:
        """Its fields, whether it is `intact`, and the `total` bytes of all tensors."""
        return document({**asdict(self), "intact": self.intact, "total": self.total})

    def as_text(self) -> str:
        file = ["file", f"{self.file}  {size(self.size)}"]
        if self.problem:
            return as_text([TextTable("", [file]), Sentences([f"not intact: {self.problem}"])])
        metadata = [[key, str(value)] for key, value in self.metadata.items()]
        entries = [
            [each.key, each.dtype or "", str(list(each.shape)), size(each.bytes or 0)]
            if each.shape is not None
            else [each.key, "", each.value or "", ""]
            for each in self.entries
        ]
        tensors = sum(each.dtype is not None for each in self.entries)
        return as_text(
            [
                TextTable("", [file, *metadata]),
                TextTable("", [["key", "dtype", "shape", "size"], *entries], right=(3,)),
                Sentences([f"intact: {plural(tensors, 'tensor')} of {size(self.total)}"]),
            ]
        )


def inspect_record(path: Path) -> InspectedRecord:
    """Read the whole file, of a built-in format, and check it. Raises `DirectoryError` if it cannot be opened."""
    try:
        length = path.stat().st_size
        with opened(path) as file:
            contents = recorder_of(path.name).read(file, largest(length))
    except OSError as error:
        raise DirectoryError(f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions.") from error
    except RecordError as error:
        return InspectedRecord(path, length, {}, (), str(error))
    return InspectedRecord(path, length, contents.metadata, tuple(_entries(contents.item, "")), None)


def _entries(value: object, key: str) -> Iterator[RecordEntry]:
    if isinstance(value, HostTensor):
        yield RecordEntry(key, value.dtype, value.shape, value.nbytes)
    elif isinstance(value, Mapping) and value:
        for inner, each in value.items():
            yield from _entries(each, (f"{key}/{inner}" if key else inner)[:_LONGEST])
    elif isinstance(value, list) and any(isinstance(each, (HostTensor, Mapping, list)) for each in value):
        for at, each in enumerate(value):
            yield from _entries(each, f"{key}/{at}"[:_LONGEST])
    else:
        yield RecordEntry(key, value=_shortened(value))


def _shortened(value: object) -> str:
    if isinstance(value, (list, bytes)) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
