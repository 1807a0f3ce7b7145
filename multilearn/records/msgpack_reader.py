"""The msgpack of records, read strictly and in bounded memory.

Only what the encoder writes is understood: lengths are believed only as far as the file goes, ext types are refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from multilearn.errors import RecordError
from multilearn.records.bounded_io import Reader
from multilearn.records.msgpack_writer import DEPTH, HALVED_KEYS, TENSOR_KEYS, VALUES
from multilearn.records.recorder import damaged
from multilearn.records.tensors import AXES, DTYPES, WIDER, HostTensor, widened

__all__ = ["Decoder", "are_sizes", "as_it_was", "tensor_of"]

_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {tag: struct.Struct(f">{code}") for tag, code in enumerate("fdBHIQbhiq", start=0xCA)}
_LENGTHS = {  # tag -> (what it is the length of, how many bytes it has)
    **{0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4)},
    **{0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4)},
    **{0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("map", 2), 0xDF: ("map", 4)},
}
_ROOM = 1 << 28
"""Bytes of memory that maps, lists, texts and byte strings may take together: far more than those of a real record."""
_PER_BYTE, _SLACK = 64, 1 << 16
"""The same where the record may have few bytes: for each of them, and besides."""
_OF_VALUE, _OF_ENTRY, _OF_CHARACTER = 64, 100, 5
"""What they take at most: a value by itself, its place in a map, a character and the bytes that it is decoded from."""
_SMALL = 1 << 12
"""Bytes of a piece of a tensor that is cheaper as `bytes` than as an array: of a million pieces it matters."""
_EXT = {0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8}


class Decoder:
    """Reads values, one after the other. Raises `RecordError` for whatever is not one."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._values = 0
        self._room = min(_ROOM, _PER_BYTE * source.left + _SLACK)
        self._due = 0  # bytes of the tensor that is being read, as its shape says

    def value(self, depth: int = 0, *, raw: bool = False) -> Any:
        """The next value; with `raw`, long byte strings (also those of a list) are arrays."""
        self._count(depth)
        tag = self._source.read(1)[0]
        if tag < 0x80:
            return tag
        if tag >= 0xE0:
            return tag - 0x100
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag in _NUMBERS:
            number = _NUMBERS[tag]
            return number.unpack(self._source.read(number.size))[0]
        kind, length = self._length(tag)
        if kind == "map":
            return self._map(length, depth)
        if kind == "list":
            return [self.value(depth + 1, raw=raw) for _ in range(length)]
        if kind == "str":
            return self._text(length)
        if not raw or length > self._due:
            self._take(length)
            return self._source.read(length)
        self._due -= length
        return self._source.array(length) if length > _SMALL else self._source.read(length)

    def map_length(self) -> int:
        """The next value must be a map: how many entries follow."""
        kind, length = self._length(self._source.read(1)[0])
        if kind != "map":
            raise damaged("A record must be a map.", f"a {kind}")
        return length

    def _length(self, tag: int) -> tuple[str, int]:
        if 0x80 <= tag < 0x90:
            return "map", tag & 0x0F
        if 0x90 <= tag < 0xA0:
            return "list", tag & 0x0F
        if 0xA0 <= tag < 0xC0:
            return "str", tag & 0x1F
        if tag in _LENGTHS:
            kind, size = _LENGTHS[tag]
            return kind, int.from_bytes(self._source.read(size), "big")
        if tag in _EXT:
            raise damaged("A record holds no msgpack ext types.", f"ext tag 0x{tag:02x}")
        raise damaged("A record must consist of msgpack maps, lists and plain values.", f"tag 0x{tag:02x}")

    def _map(self, length: int, depth: int) -> dict[str, Any] | HostTensor:
        found: dict[str, Any] = {}
        for _ in range(length):
            self._take(_OF_ENTRY)
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise damaged("The keys of a record must be strings.", f"a key of type {type(key).__name__}")
            if key in found:
                raise damaged("A key must occur once in a map.", f"{key!r} twice")
            if key == "bytes":
                self._due = _due(found)
            found[key] = self.value(depth + 1, raw=key == "bytes")
        if found.keys() == TENSOR_KEYS:
            return tensor_of(found["dtype"], found["shape"], found["bytes"])
        if found.keys() == HALVED_KEYS:
            tensor = tensor_of(found["dtype"], found["shape"], found["bytes"])
            return as_it_was(tensor, found["was"], self._source)
        if "bytes" in found:
            found["bytes"] = self._plain(found["bytes"])
        return found

    def _text(self, length: int) -> str:
        self._take(length * _OF_CHARACTER)
        try:
            return self._source.read(length).decode()
        except UnicodeDecodeError as error:
            raise damaged("The strings of a record must be UTF-8.", str(error)) from error

    def _count(self, depth: int) -> None:
        self._values += 1
        if depth > DEPTH:
            raise damaged("Maps and lists are nested at most 100 deep in a record.", "more than that")
        if self._values > VALUES:
            raise damaged(f"A record has at most {VALUES} values that are not in tensors.", "more than that")
        self._take(_OF_VALUE)

    def _take(self, size: int) -> None:
        """Before it is allocated."""
        self._room -= size
        if self._room < 0:
            raise damaged(f"What a record holds besides its tensors takes at most {_ROOM >> 20} MiB.", "more than that")

    def _plain(self, value: object) -> object:
        """`value` with its raw byte strings as bytes."""
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if not isinstance(value, np.ndarray):
            return value
        self._take(value.nbytes)
        return value.tobytes()


def tensor_of(dtype: object, shape: object, content: object) -> HostTensor:
    """The tensor with these bytes, an array of them or a list of such. Raises `RecordError` if they do not fit."""
    chunks: list[Any] = content if isinstance(content, list) else [content]
    if not all(isinstance(chunk, (bytes, np.ndarray)) for chunk in chunks):
        raise damaged("A tensor's bytes must be a byte string, or a list of them.", type(content).__name__)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise damaged(f"A tensor's dtype must be one of {', '.join(DTYPES)}.", _short(dtype))
    if not are_sizes(shape):
        raise damaged("A tensor's shape must be a list of sizes, none of them negative.", _short(shape))
    if len(shape) > AXES:  # also since the product of a million sizes takes hours
        raise _no_shape(shape)
    if (size := sum(map(len, chunks))) != math.prod(shape) * DTYPES[dtype].itemsize:
        raise damaged("A tensor must have the bytes of its shape.", f"{dtype} {_short(shape)} with {size} bytes")
    held = chunks[0] if len(chunks) == 1 and isinstance(chunks[0], np.ndarray) else _joined(chunks)
    if dtype == "BOOL" and (largest := int(held.max(initial=0))) > 1:
        raise damaged("A tensor of bools must consist of the bytes 0 and 1.", f"the byte {largest}")
    try:
        return HostTensor(dtype, held.view(DTYPES[dtype]).reshape(shape))
    except (ValueError, OverflowError, TypeError) as error:  # more axes, or larger empty ones, than numpy has room for
        raise _no_shape(shape) from error


def as_it_was(tensor: HostTensor, was: object, source: Reader) -> HostTensor:
    """A halved tensor of an earlier version in its own type; the limit of `source` pays for what it grows to."""
    if tensor.dtype != "F16" or was not in WIDER:
        raise damaged("A halved tensor is F16 and was F32 or F64.", f"{tensor.dtype} that was {_short(was)}")
    source.spend(tensor.array.size * DTYPES[str(was)].itemsize - tensor.nbytes)
    return widened(tensor, str(was))


def _joined(chunks: list[Any]) -> npt.NDArray[np.uint8]:
    """All of them one after the other; each goes when it is copied, so that they never take twice the memory."""
    joined, at = np.empty(sum(map(len, chunks)), np.uint8), 0
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        joined[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
        at += len(chunk)
    return joined


def _due(found: Mapping[str, Any]) -> int:
    """How many bytes a tensor of that dtype and shape has; 0 for what is none."""
    dtype, shape = found.get("dtype"), found.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES or not are_sizes(shape) or len(shape) > AXES:
        return 0
    return math.prod(shape) * DTYPES[dtype].itemsize


def are_sizes(value: object) -> TypeGuard[list[int]]:
    """Whether it is a list of whole numbers, none of them negative."""
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _no_shape(shape: object) -> RecordError:
    return damaged("A tensor's shape must be one that numpy can hold.", _short(shape))


def _short(value: object) -> str:
    text = repr(value[:100] if isinstance(value, (list, str)) else value)
    return text if len(text) <= 100 else f"{text[:100]}..."
