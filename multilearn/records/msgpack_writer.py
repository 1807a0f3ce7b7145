"""Records as msgpack, written piece by piece: tensors go from their own memory into the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from multilearn.errors import CheckpointError
from multilearn.plain import as_number, is_number
from multilearn.records.bounded_io import Sink
from multilearn.records.tensors import HostTensor

__all__ = ["DEPTH", "HALVED_KEYS", "TENSOR_KEYS", "VALUES", "Bounded", "Encoder", "impossible", "no_word_for", "where"]

TENSOR_KEYS = frozenset({"dtype", "shape", "bytes"})
"""A map with exactly these keys is a tensor."""
HALVED_KEYS = TENSOR_KEYS | {"was"}
"""A map with exactly these keys is a tensor of an earlier version: stored as F16, read as the F32 or F64 it was."""
DEPTH = 100
"""How deeply maps and lists may be nested."""
VALUES = 1 << 22
"""How many maps, lists and plain values a record may have; what a tensor holds does not count."""

_HELD_BACK = 1 << 16
_OFTEN = (int, float, str)
"""What long lists are of: for these the place in the list is not worth its time."""


class Bounded:
    """Counts the values of a record while it is written: what is too large or too deep could not be read again."""

    _values = 0

    def _count(self, depth: int) -> None:
        self._values += 1
        if depth > DEPTH:
            raise impossible(f"maps or lists nested more than {DEPTH} deep", "Does it hold itself? Make it flatter.")
        if self._values > VALUES:
            raise impossible(f"more than {VALUES} values", "Store long lists of numbers as a HostTensor.")


class Encoder(Bounded):
    """Writes one value. Raises `CheckpointError` for what a record cannot hold.

    `chunk`: the largest byte string.
    """

    def __init__(self, sink: Sink, chunk: int) -> None:
        self._sink = sink
        self._chunk = chunk
        self._packer = msgpack.Packer(autoreset=False)  # it collects: compressing byte by byte is slow

    def write(self, value: object) -> None:
        self._value(value, 0, "")
        self._flush()

    def _value(self, value: object, depth: int, path: str) -> None:
        self._count(depth)
        if isinstance(value, HostTensor):
            self._tensor(value)
        elif isinstance(value, Mapping):
            self._map(value, depth, path)
        elif isinstance(value, (list, tuple)):
            self._packer.pack_array_header(len(value))
            for at, each in enumerate(value):
                self._value(each, depth + 1, path if type(each) in _OFTEN else f"{path}/{at}")
        elif value is None or isinstance(value, (bool, int, float, str, bytes)):
            self._plain(value, path)
        elif is_number(number := as_number(value)):
            self._plain(number, path)
        else:
            raise no_word_for(value, path)

    def _map(self, value: Mapping[Any, object], depth: int, path: str) -> None:
        if value.keys() in (TENSOR_KEYS, HALVED_KEYS):
            received = f"a map with exactly the keys {', '.join(sorted(value))}{where(path)}"
            raise impossible(received, "Those are tensors: rename a key.")
        self._packer.pack_map_header(len(value))
        for key, each in value.items():
            if not isinstance(key, str):
                raise impossible(f"the key {key!r}{where(path)}", "Keys must be strings: write it as one.")
            self._count(depth)
            self._plain(key, path)
            self._value(each, depth + 1, f"{path}/{key}" if path else key)

    def _plain(self, value: object, path: str) -> None:
        try:
            self._packer.pack(value)
        except (OverflowError, ValueError, TypeError) as error:  # beyond 64 bits, no UTF-8, beyond 4 GiB
            received = f"a value{where(path)} that cannot be written ({error})"
            raise impossible(received, "Store it in another form.") from error
        if len(self._packer.getbuffer()) >= _HELD_BACK:
            self._flush()

    def _tensor(self, tensor: HostTensor) -> None:
        self._packer.pack_map_header(3)
        for plain in ("dtype", tensor.dtype, "shape", tensor.shape, "bytes"):
            self._packer.pack(plain)
        raw = tensor.raw
        chunks = [raw[start : start + self._chunk] for start in range(0, raw.size, self._chunk)] or [raw]
        if len(chunks) > 1:
            self._packer.pack_array_header(len(chunks))
        for chunk in chunks:
            self._flush(b"\xc6" + chunk.size.to_bytes(4, "big"))
            self._sink.write(chunk.data)

    def _flush(self, tail: bytes = b"") -> None:
        if held := self._packer.bytes() + tail:
            self._sink.write(memoryview(held))
            self._packer.reset()


def no_word_for(value: object, path: str) -> CheckpointError:
    """The error for an object at a path of a record, such as `scheduler/state/smoothed`."""
    received = f"{type(value).__name__}{where(path)}"
    return impossible(received, "Turn arrays into HostTensor, and other objects into these.")


def where(path: str) -> str:
    """The place in a record, for a message; nothing for all of it."""
    place = path.removeprefix("item/")
    return f" at {place}" if place else ""


def impossible(received: str, remedy: str) -> CheckpointError:
    """The error for what has no place in a record."""
    return CheckpointError(
        "A record holds maps, lists, HostTensors, numbers of 64 bits, strings, bytes, bools and None.",
        received=received,
        remedy=remedy,
    )
