"""The structure of a record as JSON, for formats that hold nothing but named tensors.

Maps, lists, strings, bools, None and numbers are themselves. What JSON has no word for is a map with one key:
`{"$tensor": "F32"}`, the dtype a tensor is read as; `{"$bytes": base64}`; `{"$float": its 8 bytes in hex}` where it is
infinite or NaN. A key of a record that begins with `$` has one more. A tensor's name is its path, joined by slashes; in
a part of it, `%` and `/` are `%25` and `%2F`, and a part without letters is `%`.
"""

from __future__ import annotations

import binascii
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from multilearn.plain import as_number, is_number
from multilearn.records.msgpack_writer import DEPTH, VALUES, Bounded, impossible, no_word_for, where
from multilearn.records.recorder import damaged
from multilearn.records.tensors import HostTensor
from multilearn.storage.reading import parsed

__all__ = ["Outliner", "as_json", "from_json", "rebuilt"]

_DOUBLE = struct.Struct("<d")


def as_json(value: object) -> str:
    """One line of JSON. Raises `CheckpointError` for integers and texts that it cannot hold."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except ValueError as error:  # thousands of digits, half of a surrogate pair
        raise impossible(f"a value that cannot be written ({error})", "Store it in another form.") from error
    return text


def from_json(text: bytes) -> Any:
    """What the text holds. Raises `RecordError` for what is not UTF-8, not strict JSON, or has a key twice."""
    try:
        return parsed(text, marks=2 * VALUES, depth=2 * DEPTH, numbers=False)
    except ValueError as error:
        raise damaged("The description of a record must be strict JSON.", str(error)[:100]) from error


class Outliner(Bounded):
    """Describes a record; `tensors` are those in it, by name."""

    def __init__(self) -> None:
        self.tensors: dict[str, HostTensor] = {}

    def outline(self, value: object, path: tuple[str, ...] = ()) -> Any:
        """Raises `CheckpointError` for what a record cannot hold."""
        self._count(len(path))
        if isinstance(value, HostTensor):
            self.tensors["/".join(path)] = value
            return {"$tensor": value.dtype}
        if isinstance(value, Mapping):
            return dict(self._entry(key, each, path) for key, each in value.items())
        if isinstance(value, (list, tuple)):
            return [self.outline(each, (*path, str(at))) for at, each in enumerate(value)]
        if isinstance(value, bytes):
            return {"$bytes": binascii.b2a_base64(value, newline=False).decode()}
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": _DOUBLE.pack(value).hex()}
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if is_number(number := as_number(value)):
            return self.outline(number, path)
        raise no_word_for(value, "/".join(path))

    def _entry(self, key: object, value: object, path: tuple[str, ...]) -> tuple[str, Any]:
        if not isinstance(key, str):
            raise impossible(f"the key {key!r}{where('/'.join(path))}", "Keys must be strings: write it as one.")
        return f"${key}" if key.startswith("$") else key, self.outline(value, (*path, _escaped(key)))


def rebuilt(outlined: Any, take: Callable[[str, object], Any], path: tuple[str, ...] = ()) -> Any:
    """The record that was outlined. `take` hands out the tensor of a name that is to be read as a dtype.

    Raises `RecordError` for what `Outliner` does not write.
    """
    if len(path) > DEPTH:
        raise damaged(f"Maps and lists are nested at most {DEPTH} deep in a record.", "more than that")
    if isinstance(outlined, list):
        return [rebuilt(each, take, (*path, str(at))) for at, each in enumerate(outlined)]
    if not isinstance(outlined, dict):
        return outlined
    if len(outlined) == 1:
        ((tag, content),) = outlined.items()
        if tag == "$tensor":
            return take("/".join(path), content)
        if tag.startswith("$") and not tag.startswith("$$"):
            return _tagged(tag, content)
    return {_key(key): rebuilt(each, take, (*path, _escaped(_key(key)))) for key, each in outlined.items()}


def _tagged(tag: str, content: object) -> object:
    try:
        if tag == "$bytes" and isinstance(content, str):
            return binascii.a2b_base64(content.encode(), strict_mode=True)
        if tag == "$float" and isinstance(content, str):
            return _DOUBLE.unpack(binascii.unhexlify(content.encode()))[0]
    except (binascii.Error, struct.error) as error:
        raise damaged("A record must describe each value.", f"{tag} with {str(error)[:100]}") from error
    raise damaged("A record must describe each value.", f"{tag[:100]} of {type(content).__name__}")


def _escaped(key: str) -> str:
    return key.replace("%", "%25").replace("/", "%2F") or "%"


def _key(key: str) -> str:
    if key.startswith("$") and not key.startswith("$$"):
        raise damaged("A record must describe each value.", f"{key[:100]!r} among other keys")
    return key.removeprefix("$")
