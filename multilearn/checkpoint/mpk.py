"""The default recorder: one gzipped msgpack map, `{"metadata": {...}, "item": ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.checkpoint.decoder import Decoder
from multilearn.checkpoint.encoder import Encoder
from multilearn.checkpoint.gzip_stream import GzipReader, GzipWriter, damaged
from multilearn.checkpoint.recorder import Contents, Readable, Writable
from multilearn.errors import CheckpointError, RecordError
from multilearn.protocols import Record

__all__ = ["FORMAT", "VERSION", "MpkGzRecorder"]

FORMAT = "multilearn"
VERSION = 1
CHUNK = 1 << 30  # a msgpack byte string ends at 4 GiB


@dataclass(frozen=True)
class MpkGzRecorder:
    """Records as gzipped msgpack. A tensor is `{"dtype": "F32", "shape": [...], "bytes": raw little-endian}`.

    `chunk`: how many bytes of a tensor go into one byte string; a larger tensor is a list of several.
    """

    chunk: int = CHUNK
    extension: ClassVar[str] = "mpk.gz"

    def write(self, file: Writable, item: Record, metadata: Mapping[str, Any]) -> int:
        if reserved := {"format", "version"} & metadata.keys():
            raise CheckpointError(
                "The metadata keys format and version belong to the file format.",
                received=", ".join(sorted(reserved)),
                remedy="Choose other keys.",
            )
        if not isinstance(item, Mapping):
            raise CheckpointError("A record is a map.", received=type(item).__name__, remedy="Put it into one.")
        gzip = GzipWriter(file)
        described = {"format": FORMAT, "version": VERSION, **metadata}
        Encoder(gzip, self.chunk).write({"metadata": described, "item": item})
        gzip.finish()
        return gzip.size

    def read(self, file: Readable, limit: int) -> Contents:
        source = GzipReader(file, limit)
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
                _check(found[key])  # at once: a later version may have things in its item that this one cannot read
        if len(found) < 2:
            raise damaged("A record has the keys metadata and item, once each.", f"{len(found)} of them")
        source.finish()
        return Contents(found["item"], found["metadata"])


def _check(metadata: Mapping[str, Any]) -> None:
    if metadata.get("format") != FORMAT:
        raise damaged("A record says in its metadata that it is one of multilearn.", "a file of another format")
    version = metadata.get("version")
    if type(version) is not int or version != VERSION:
        raise RecordError(
            f"This multilearn reads records of version {VERSION}.",
            received=f"version {str(version)[:100]}",
            remedy="Read it with the multilearn that wrote it, or a later one.",
        )
