"""The safetensors format: the length of a header, the header in JSON, and the bytes of the tensors one after the other.

As https://github.com/huggingface/safetensors describes it: tensors without holes between them, in the order of the
header or any other, texts under `__metadata__`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multilearn.records.bounded_io import Reader, Sink, damaged
from multilearn.records.msgpack_reader import tensor_of
from multilearn.records.msgpack_writer import impossible
from multilearn.records.outline import as_json, from_json, utf8
from multilearn.records.tensors import AXES, DTYPES, HostTensor

__all__ = ["FileLayout", "read_tensors", "write_tensors"]

_METADATA = "__metadata__"
_LONGEST = 100_000_000  # what the format's own library reads


@dataclass(frozen=True)
class FileLayout:
    """A tensor in the file: where its bytes are, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def write_tensors(sink: Sink, tensors: Mapping[str, HostTensor], metadata: Mapping[str, str]) -> None:
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


def read_tensors(source: Reader) -> tuple[dict[str, HostTensor], dict[str, str]]:
    """The tensors by name, in the order of their bytes, and the metadata. The source is read to its end."""
    layouts, metadata = _header(source)
    size = sum(each.end - each.begin for each in layouts.values())
    if size > source.left:
        source.spend(size)
    tensors = {
        name: tensor_of(each.dtype, list(each.shape), source.array(each.end - each.begin))
        for name, each in layouts.items()
    }
    source.finish()
    return tensors, metadata


def _header(source: Reader) -> tuple[dict[str, FileLayout], dict[str, str]]:
    length = int.from_bytes(source.read(8), "little")
    if length > _LONGEST:
        raise damaged(f"The header of a safetensors file has at most {_LONGEST} bytes.", f"{length} bytes")
    header = from_json(source.array(length).tobytes())
    if not isinstance(header, dict):
        raise damaged("The header of a safetensors file must be a map.", f"a {type(header).__name__}")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged("The metadata of a safetensors file must be a map of texts.", str(metadata)[:100])
    for text in (*header, *metadata, *metadata.values()):
        utf8(text)
    layouts = dict(sorted(((name, _layout(name, entry)) for name, entry in header.items()), key=_place))
    at = 0
    for name, layout in layouts.items():
        if layout.begin != at:
            raise damaged(
                "Tensors must follow each other without holes.", f"{name[:100]!r} at {layout.begin}, not {at}"
            )
        at = layout.end
    return layouts, metadata


def _layout(name: str, entry: object) -> FileLayout:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise damaged("A tensor has a dtype, a shape and data_offsets.", f"{str(entry)[:100]} as {name[:100]!r}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise damaged(f"A tensor's dtype must be one of {', '.join(DTYPES)}.", f"{str(dtype)[:100]} of {name[:100]!r}")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        received = f"{str(shape)[:100]} at {str(offsets)[:100]} of {name[:100]!r}"
        raise damaged("A tensor's shape and data_offsets must be lists of sizes.", received)
    if len(shape) > AXES:  # also since the product of a million sizes takes hours
        raise damaged("A tensor's shape must be one that numpy can hold.", f"{len(shape)} axes of {name[:100]!r}")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        received = f"{dtype} {str(shape)[:100]} in {end - begin} bytes as {name[:100]!r}"
        raise damaged("A tensor must have the bytes of its shape.", received)
    return FileLayout(dtype, tuple(shape), begin, end)


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _place(named: tuple[str, FileLayout]) -> tuple[int, int]:
    return named[1].begin, named[1].end
