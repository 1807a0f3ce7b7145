"""Records as safetensors files, which many other programs read.

The format is that of https://github.com/huggingface/safetensors: the length of a header, the header in JSON, and the
bytes of the tensors without holes between them, in the order of the header or any other; texts under `__metadata__`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.errors import CheckpointError
from multilearn.protocols import Record
from multilearn.records.bounded_io import Reader, Sink, within_memory
from multilearn.records.msgpack_reader import are_sizes, tensor_of
from multilearn.records.msgpack_writer import impossible
from multilearn.records.outline import Outliner, as_json, from_json, rebuilt
from multilearn.records.recorder import FORMAT, VERSION, Contents, Readable, Writable, check_heading, damaged, heading
from multilearn.records.tensors import DTYPES, WIDER, HostTensor, widened

__all__ = ["SafetensorsRecorder"]

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
        if dtype == tensor.dtype:
            return tensor
        if tensor.dtype != "F16" or dtype not in WIDER:
            received = f"{tensor.dtype} to be read as {str(dtype)[:100]}"
            raise damaged("A tensor is read as what it is, or F16 as the F32 or F64 that it was.", received)
        source.spend(tensor.array.size * DTYPES[str(dtype)].itemsize - tensor.nbytes)
        return widened(tensor, str(dtype))

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
