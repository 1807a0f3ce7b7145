"""The msgpack of records, read strictly and in bounded memory.

Only what the encoder writes is understood: lengths are believed only as far as the file goes, ext types are refused.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from multilearn.checkpoint.bounded import Reader, damaged
from multilearn.checkpoint.encoder import DEPTH, HALVED_KEYS, TENSOR_KEYS, VALUES
from multilearn.checkpoint.precision import WIDER, widened
from multilearn.checkpoint.tensors import DTYPES, HostTensor

__all__ = ["Decoder", "tensor_of"]

_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_LENGTHS = {  # tag -> (what it is the length of, how many bytes it has)
    **{0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4)},
    **{0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4)},
    **{0xDC: ("list", 2), 0xDD: ("list", 4), 0xDE: ("map", 2), 0xDF: ("map", 4)},
}
_EXT = {0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8}


class Decoder:
    """Reads values, one after the other. Raises `RecordError` for whatever is not one.

    `widen`: whether halved tensors are read as what they were, or as they are stored.
    """

    def __init__(self, source: Reader, widen: bool = True) -> None:
        self._source = source
        self._widen = widen
        self._values = 0

    def value(self, depth: int = 0, *, raw: bool = False) -> Any:
        """The next value; with `raw`, byte strings (also those of a list) stay arrays."""
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
            return self._list(length, depth, raw)
        if kind == "str":
            return self._text(length)
        found = self._source.array(length)
        return found if raw else found.tobytes()

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
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise damaged("The keys of a record must be strings.", f"a key of type {type(key).__name__}")
            if key in found:
                raise damaged("A key must occur once in a map.", f"{key!r} twice")
            found[key] = self.value(depth + 1, raw=key == "bytes")
        if found.keys() == TENSOR_KEYS:
            return tensor_of(found["dtype"], found["shape"], found["bytes"])
        if found.keys() == HALVED_KEYS:
            return self._halved(found["was"], tensor_of(found["dtype"], found["shape"], found["bytes"]))
        if "bytes" in found:
            found["bytes"] = _plain(found["bytes"])
        return found

    def _halved(self, was: object, tensor: HostTensor) -> HostTensor:
        if tensor.dtype != "F16" or was not in WIDER:
            raise damaged("A halved tensor is F16 and was F32 or F64.", f"{tensor.dtype} that was {_short(was)}")
        if not self._widen:
            return tensor
        self._source.spend(tensor.array.size * DTYPES[str(was)].itemsize - tensor.nbytes)
        return widened(tensor, str(was))

    def _list(self, length: int, depth: int, raw: bool) -> list[Any]:
        return [self.value(depth + 1, raw=raw) for _ in range(length)]

    def _text(self, length: int) -> str:
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


def tensor_of(dtype: object, shape: object, content: object) -> HostTensor:
    """The tensor with these bytes, an array of them or a list of such. Raises `RecordError` where they do not fit."""
    carrier = DTYPES.get(dtype) if isinstance(dtype, str) else None
    if carrier is None:
        raise damaged(f"A tensor's dtype must be one of {', '.join(DTYPES)}.", _short(dtype))
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise damaged("A tensor's shape must be a list of sizes, none of them negative.", _short(shape))
    chunks: list[Any] = content if isinstance(content, list) else [content]
    if not all(isinstance(chunk, np.ndarray) for chunk in chunks):
        raise damaged("A tensor's bytes must be a byte string, or a list of them.", type(content).__name__)
    held = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.uint8), *chunks])
    if math.prod(shape) * carrier.itemsize != held.size:
        received = f"{dtype} {_short(shape)} with {held.size} bytes"
        raise damaged("A tensor must have the bytes of its shape.", received)
    if dtype == "BOOL" and held.size and held.max() > 1:
        raise damaged("A tensor of bools must consist of the bytes 0 and 1.", f"the byte {held.max()}")
    try:
        return HostTensor(str(dtype), held.view(carrier).reshape(shape))
    except (ValueError, OverflowError, TypeError) as error:  # more axes, or larger empty ones, than numpy has room for
        raise damaged("A tensor's shape must be one that numpy can hold.", _short(shape)) from error


def _plain(value: object) -> object:
    """`value` with its raw byte strings as bytes."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
