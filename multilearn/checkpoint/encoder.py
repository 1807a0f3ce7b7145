"""Records as msgpack, written piece by piece: tensors go from their own memory into the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from multilearn.checkpoint.gzip_stream import GzipWriter
from multilearn.checkpoint.tensors import HostTensor
from multilearn.errors import CheckpointError

__all__ = ["DEPTH", "TENSOR_KEYS", "VALUES", "Encoder"]

TENSOR_KEYS = frozenset({"dtype", "shape", "bytes"})
"""A map with exactly these keys is a tensor."""
DEPTH = 100
"""How deeply maps and lists may be nested."""
VALUES = 1 << 22
"""How many maps, lists and plain values a record may have; what a tensor holds does not count."""

_HELD_BACK = 1 << 16


class Encoder:
    """Writes one value into a gzip file. Raises `CheckpointError` for what a record cannot hold."""

    def __init__(self, gzip: GzipWriter, chunk: int) -> None:
        self._gzip = gzip
        self._chunk = chunk
        self._packer = msgpack.Packer()
        self._small = bytearray()  # collected, since compressing byte by byte is slow
        self._values = 0

    def write(self, value: object) -> None:
        self._value(value, 0)
        self._flush()

    def _value(self, value: object, depth: int) -> None:
        self._count(depth)
        if isinstance(value, HostTensor):
            self._tensor(value)
        elif isinstance(value, Mapping):
            self._map(value, depth)
        elif isinstance(value, (list, tuple)):
            self._pack(self._packer.pack_array_header(len(value)))
            for each in value:
                self._value(each, depth + 1)
        elif value is None or isinstance(value, (bool, int, float, str, bytes)):
            self._plain(value)
        else:
            raise _impossible(f"{type(value).__name__}", "Turn arrays into HostTensor, and other objects into these.")

    def _map(self, value: Mapping[Any, object], depth: int) -> None:
        if value.keys() == TENSOR_KEYS:
            raise _impossible("a map with exactly the keys dtype, shape and bytes", "Those are tensors: rename a key.")
        self._pack(self._packer.pack_map_header(len(value)))
        for key, each in value.items():
            if not isinstance(key, str):
                raise _impossible(f"the key {key!r}", "Keys must be strings: write it as one.")
            self._count(depth)
            self._plain(key)
            self._value(each, depth + 1)

    def _plain(self, value: object) -> None:
        try:
            self._pack(self._packer.pack(value))
        except (OverflowError, ValueError, TypeError) as error:  # beyond 64 bits, no UTF-8, beyond 4 GiB
            raise _impossible(f"a value that cannot be written ({error})", "Store it in another form.") from error

    def _tensor(self, tensor: HostTensor) -> None:
        self._pack(self._packer.pack_map_header(3))
        for plain in ("dtype", tensor.dtype, "shape", tensor.shape, "bytes"):
            self._pack(self._packer.pack(plain))
        raw = tensor.raw
        chunks = [raw[start : start + self._chunk] for start in range(0, raw.size, self._chunk)] or [raw]
        if len(chunks) > 1:
            self._pack(self._packer.pack_array_header(len(chunks)))
        for chunk in chunks:
            self._pack(b"\xc6" + chunk.size.to_bytes(4, "big"))
            self._flush()
            self._gzip.write(chunk.data)

    def _count(self, depth: int) -> None:
        self._values += 1
        if depth > DEPTH:
            raise _impossible(f"maps or lists nested more than {DEPTH} deep", "Does it hold itself? Make it flatter.")
        if self._values > VALUES:
            raise _impossible(f"more than {VALUES} values", "Store long lists of numbers as a HostTensor.")

    def _pack(self, packed: bytes) -> None:
        self._small += packed
        if len(self._small) >= _HELD_BACK:
            self._flush()

    def _flush(self) -> None:
        if self._small:
            self._gzip.write(memoryview(self._small))
            self._small = bytearray()


def _impossible(received: str, remedy: str) -> CheckpointError:
    return CheckpointError(
        "A record holds maps, lists, HostTensors, numbers of 64 bits, strings, bytes, bools and None.",
        received=received,
        remedy=remedy,
    )
