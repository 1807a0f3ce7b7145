"""Records as safetensors files, which many other programs read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.errors import CheckpointError
from multilearn.protocols import Record
from multilearn.records.bounded_io import PlainWriter, Reader, damaged, within_memory
from multilearn.records.heading import FORMAT, VERSION, check_heading, heading
from multilearn.records.outline import Outliner, Rebuilder, as_json, from_json, utf8
from multilearn.records.precision import WIDER, widened
from multilearn.records.recorder import Contents, Readable, Writable
from multilearn.records.safetensors_file import read_tensors, write_tensors
from multilearn.records.tensors import DTYPES, HostTensor

__all__ = ["SafetensorsRecorder"]

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
        sink = PlainWriter(file)
        write_tensors(sink, outliner.tensors, {"format": FORMAT, "version": str(VERSION), **texts})
        return sink.size

    def read(self, file: Readable, limit: int) -> Contents:
        with within_memory():
            source = Reader(file, limit)
            tensors, texts = read_tensors(source)
            return _contents(texts, tensors, source)


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
    metadata = _map(texts["metadata"], _none)
    check_heading(metadata)
    item = _map(texts["item"], take)
    if tensors:
        raise damaged("A record must describe all of its tensors.", f"not {', '.join(tensors)[:100]}")
    return Contents(item, metadata)


def _none(name: str, dtype: object) -> HostTensor:
    raise damaged("The metadata of a record holds no tensors.", f"{str(dtype)[:100]} as {name[:100]!r}")


def _map(text: str, take: Callable[[str, object], Any]) -> dict[str, Any]:
    found = Rebuilder(take).rebuild(from_json(utf8(text)))
    if not isinstance(found, dict):
        raise damaged("Both parts of a record must be maps.", f"a {type(found).__name__}")
    return found
