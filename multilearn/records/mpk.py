"""The default recorders: one msgpack map, `{"metadata": {...}, "item": ...}`, gzipped or as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.errors import ConfigurationError
from multilearn.protocols import Record
from multilearn.records.bounded_io import GzipReader, GzipSink, Reader, Sink, within_memory
from multilearn.records.msgpack_reader import Decoder
from multilearn.records.msgpack_writer import Encoder
from multilearn.records.recorder import Contents, Readable, Writable, check_heading, damaged, heading

__all__ = ["MpkGzRecorder", "MpkRecorder"]

CHUNK = 1 << 30
_LONGEST = (1 << 32) - 1  # a msgpack byte string ends at 4 GiB


@dataclass(frozen=True)
class MpkRecorder:
    """Records as msgpack. A tensor is `{"dtype": "F32", "shape": [...], "bytes": raw little-endian}`.

    `chunk`: how many bytes of a tensor go into one byte string, below 2^32; a larger tensor is a list of several.

    >>> MpkRecorder().extension
    'mpk'
    """

    chunk: int = CHUNK
    extension: ClassVar[str] = "mpk"
    _sink: ClassVar[type[Sink]] = Sink
    _source: ClassVar[type[Reader]] = Reader

    def __post_init__(self) -> None:
        if type(self.chunk) is not int or not 0 < self.chunk <= _LONGEST:
            raise ConfigurationError(
                "The chunk of a recorder is a whole number of bytes from 1 to below 4 GiB.",
                received=repr(self.chunk),
                remedy="Leave it out for 1 GiB.",
            )

    def write(self, file: Writable, item: Record, metadata: Mapping[str, Any]) -> int:
        sink = self._sink(file)
        Encoder(sink, self.chunk).write({"metadata": heading(item, metadata), "item": item})
        sink.finish()
        return sink.size

    def read(self, file: Readable, limit: int) -> Contents:
        with within_memory():
            return self._decoded(self._source(file, limit))

    def _decoded(self, source: Reader) -> Contents:
        decoder = Decoder(source)
        found: dict[str, Any] = {}
        for _ in range(decoder.map_length()):
            key = decoder.value(1)
            if key not in ("metadata", "item") or key in found:
                raise damaged("A record has the keys metadata and item, once each.", f"the key {str(key)[:100]!r}")
            found[key] = decoder.value(1)
            if not isinstance(found[key], dict):
                raise damaged("Both parts of a record must be maps.", f"{type(found[key]).__name__} as {key}")
            if key == "metadata":
                check_heading(found[key])  # at once: a later version may have an item that this one cannot read
        if len(found) < 2:
            raise damaged("A record has the keys metadata and item, once each.", f"{len(found)} of them")
        source.finish()
        return Contents(found["item"], found["metadata"])


@dataclass(frozen=True)
class MpkGzRecorder(MpkRecorder):
    """The default: what `MpkRecorder` writes, gzipped.

    >>> MpkGzRecorder().extension
    'mpk.gz'
    """

    extension: ClassVar[str] = "mpk.gz"
    _sink: ClassVar[type[Sink]] = GzipSink
    _source: ClassVar[type[Reader]] = GzipReader
