"""Records as safetensors files, which many other programs read.

The format is that of https://github.com/huggingface/safetensors: the length of a header, the header in JSON, and the
bytes of the tensors without holes between them, in the order of the header or any other; texts under `__metadata__`.
One is the structure of the record as JSON. Maps, lists, strings, bools, None and numbers are themselves in it. What
JSON has no word for is a map with one key: `{"$tensor": "F32"}`, the dtype a tensor is read as; `{"$bytes": base64}`;
`{"$float": its 8 bytes in hex}` where it is infinite or NaN. A key of a record that begins with `$` has one more. A
tensor's name is its path, joined by slashes; in a part of it, `%` and `/` are `%25` and `%2F`, and a part without
letters is `%`.
"""

from __future__ import annotations

import binascii
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.errors import CheckpointError
from multilearn.plain import as_number, is_number
from multilearn.protocols import Record
from multilearn.records.bounded_io import Reader, Sink, within_memory
from multilearn.records.msgpack_reader import are_sizes, as_it_was, tensor_of
from multilearn.records.msgpack_writer import DEPTH, VALUES, Bounded, impossible, no_word_for, where
from multilearn.records.recorder import FORMAT, VERSION, Contents, Readable, Writable, check_heading, damaged, heading
from multilearn.records.tensors import HostTensor
from multilearn.storage.reading import parsed

__all__ = ["SafetensorsRecorder"]

_DOUBLE = struct.Struct("<d")
_METADATA = "__metadata__"
_LONGEST = 100_000_000  # bytes of a header: what the format's own library reads
_ENTRY = {"dtype", "shape", "data_offsets"}
_KEYS = {"format", "version", "metadata", "item"}


@dataclass(frozen=True)
class SafetensorsRecorder:
    """Records as safetensors: a tensor is named by its path, `layers/dense.0/kernel`; all else is JSON in the metadata.

    A safetensors file of another program is read as a flat map of its tensors by name. The library of that name is not
    needed.

    >>> SafetensorsRecorder().extension
    'safetensors'
    """

    extension: ClassVar[str] = "safetensors"

    def write(self, file: Writable, item: Record, metadata: Mapping[str, Any]) -> int:
        described, outliner = Outliner(), Outliner()
        outlined = described.outline(heading(item, metadata))
        if described.tensors:
            raise CheckpointError(
                "The metadata of this format holds no tensors.",
                received=", ".join(described.tensors),
                remedy="Put them into the record.",
            )
        texts = {"item": as_json(outliner.outline(item)), "metadata": as_json(outlined)}
        sink = Sink(file)
        _write_tensors(sink, outliner.tensors, {"format": FORMAT, "version": str(VERSION), **texts})
        return sink.size

    def read(self, file: Readable, limit: int) -> Contents:
        with within_memory():
            source = Reader(file, limit)
            tensors, texts = _read_tensors(source)
            return _contents(texts, tensors, source)


def _write_tensors(sink: Sink, tensors: Mapping[str, HostTensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors, the widest types first so that all align."""
    names = sorted(tensors, key=lambda name: (-tensors[name].array.itemsize, name))
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    at = 0
    for name in names:
        if name == _METADATA:
            raise impossible(f"a tensor called {name}", "Rename it.")
        tensor, end = tensors[name], at + tensors[name].nbytes
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = as_json(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _LONGEST:
        raise impossible(f"a description of {len(text)} bytes", "Store long lists of numbers as a HostTensor.")
    from_json(text)
    sink.write(memoryview(len(text).to_bytes(8, "little") + text))
    for name in names:
        sink.write(tensors[name].raw.data)


def _read_tensors(source: Reader) -> tuple[dict[str, HostTensor], dict[str, str]]:
    """The tensors by name, in the order of their bytes, and the metadata. The source is read to its end."""
    length = int.from_bytes(source.read(8), "little")
    if length > _LONGEST:
        raise damaged(f"The header of a safetensors file has at most {_LONGEST} bytes.", f"{length} bytes")
    header = from_json(source.array(length).tobytes())
    if not isinstance(header, dict):
        raise damaged("The header of a safetensors file must be a map.", f"a {type(header).__name__}")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged("The metadata of a safetensors file must be a map of texts.", str(metadata)[:100])
    tensors: dict[str, HostTensor] = {}
    at = 0
    for name, entry in sorted(header.items(), key=_place):
        begin, end = entry["data_offsets"]
        if begin != at:
            raise damaged("Tensors must follow each other without holes.", f"{name[:100]!r} at {begin}, not {at}")
        tensors[name] = tensor_of(entry["dtype"], entry["shape"], source.array(end - begin))
        at = end
    source.finish()
    return tensors, metadata


def _place(named: tuple[str, Any]) -> tuple[int, int]:
    """Where the bytes of a tensor are, counted from the end of the header."""
    name, entry = named
    offsets = entry["data_offsets"] if isinstance(entry, dict) and entry.keys() == _ENTRY else None
    if not are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        received = f"{str(entry)[:100]} as {name[:100]!r}"
        raise damaged("A tensor has a dtype, a shape and the data_offsets of its first and last byte.", received)
    return offsets[0], offsets[1]


def _contents(texts: Mapping[str, str], tensors: dict[str, HostTensor], source: Reader) -> Contents:
    """What the texts describe; the limit of `source` pays for what halved tensors of earlier versions grow to."""

    def take(name: str, dtype: object) -> HostTensor:
        tensor = tensors.pop(name, None)
        if tensor is None:
            raise damaged("A record must have the tensors that it describes.", f"none called {name[:100]!r}")
        return tensor if dtype == tensor.dtype else as_it_was(tensor, dtype, source)

    if texts.get("format") != FORMAT:  # by another program
        return Contents(dict(tensors), texts)
    if texts.keys() != _KEYS:
        raise damaged(f"A record in this format has the keys {', '.join(sorted(_KEYS))}.", ", ".join(texts)[:100])
    metadata = _map(texts["metadata"], take)
    check_heading(metadata)
    item = _map(texts["item"], take)
    if tensors:
        raise damaged("A record must describe all of its tensors.", f"not {', '.join(tensors)[:100]}")
    return Contents(item, metadata)


def _map(text: str, take: Callable[[str, object], Any]) -> dict[str, Any]:
    found = rebuilt(from_json(text.encode()), take)
    if not isinstance(found, dict):
        raise damaged("Both parts of a record must be maps.", f"a {type(found).__name__}")
    return found


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
