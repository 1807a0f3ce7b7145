"""Does a record fit what it is to be loaded into? Structure, shapes and dtypes; plain values always fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multilearn.errors import RecordMismatch
from multilearn.printable import plural, printable
from multilearn.protocols import Record
from multilearn.records.tensors import HostTensor

__all__ = ["differences", "mismatch", "nbytes", "require_match"]

_SLACK = 1 << 20
_PER_VALUE = 16
_PER_TENSOR = 160


def differences(expected: Any, received: Any, path: str = "") -> list[str]:
    """A line for every missing or extra key and every tensor of another shape or dtype; empty if `received` fits.

    Plain values (numbers, strings, bytes, None, lists without tensors) fit each other, whatever they are. `path`: where
    in a record these are.
    """
    if isinstance(expected, Mapping) and isinstance(received, Mapping):
        return _of_maps(expected, received, path)
    if _holds_tensors(expected) and isinstance(received, list) and len(expected) == len(received):
        pairs = enumerate(zip(expected, received, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{path}/{index}")]
    if isinstance(expected, HostTensor) and isinstance(received, HostTensor):
        fits = expected.dtype == received.dtype and expected.shape == received.shape
    else:
        fits = _is_plain(expected) and _is_plain(received)
    return [] if fits else [f"{path or 'the record'}: expected {_described(expected)}, received {_described(received)}"]


def require_match(expected: Record, received: Record, what: str) -> None:
    """Raise one `RecordMismatch` with all differences. `what` names what is to be loaded: `"the model"`."""
    if found := differences(expected, received):
        raise mismatch(found, what)


def mismatch(found: Sequence[str], what: str) -> RecordMismatch:
    """The error for what `differences` found."""
    return RecordMismatch(
        f"A record must have the structure, shapes and dtypes of {what}.",
        received="\n  ".join([f"{plural(len(found), 'difference')}:", *map(printable, found)]),
        remedy="Build it as it was when the checkpoint was written, or use a checkpoint of this one.",
    )


def nbytes(record: Record) -> int:
    """How many uncompressed bytes reading a record for this one may take: the limit to read it with.

    An upper bound of its own encoding in any format, and as much again plus 1 MiB: for metadata, and so that a record
    of a somewhat larger model is read and its differences named, instead of refused unread.
    """
    return 2 * _encoded(record, 0) + _SLACK


def _of_maps(expected: Mapping[str, Any], received: Mapping[str, Any], path: str) -> list[str]:
    paths = {key: f"{path}/{key}" if path else key for key in (*expected, *received)}
    lines = []
    for key, value in expected.items():
        if key in received:
            lines += differences(value, received[key], paths[key])
        else:
            lines.append(f"{paths[key]}: missing, expected {_described(value)}")
    extra = [key for key in received if key not in expected]
    return lines + [f"{paths[key]}: not expected, received {_described(received[key])}" for key in extra]


def _holds_tensors(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return any(isinstance(each, (HostTensor, Mapping)) or _holds_tensors(each) for each in value)


def _is_plain(value: object) -> bool:
    return not isinstance(value, (HostTensor, Mapping)) and not _holds_tensors(value)


def _described(value: object) -> str:
    if isinstance(value, HostTensor):
        return str(value)
    if isinstance(value, Mapping):
        return f"a map of {plural(_tensors(value), 'tensor')}"
    if _holds_tensors(value):
        return f"a list with {_tensors(value)} tensors"
    return "None" if value is None else f"a plain {type(value).__name__}"


def _tensors(value: object) -> int:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return int(isinstance(value, HostTensor)) + sum(map(_tensors, inner))


def _encoded(value: object, path: int) -> int:
    """The bytes of a value; `path`: those of the keys that lead to it, which some formats repeat with each tensor."""
    if isinstance(value, HostTensor):
        chunk_headers = 8 * (1 + value.nbytes // (1 << 30))
        return value.nbytes + chunk_headers + 2 * 20 * len(value.shape) + 2 * path + _PER_TENSOR
    if isinstance(value, Mapping):
        lengths = {key: len(key.encode(errors="replace")) + 1 for key in value}
        return _PER_VALUE + sum(
            _PER_VALUE + lengths[key] + _encoded(each, path + lengths[key]) for key, each in value.items()
        )
    if isinstance(value, (list, tuple)):
        return _PER_VALUE + sum(_encoded(each, path + 8) for each in value)
    if isinstance(value, str):
        return _PER_VALUE + len(value.encode(errors="replace"))
    return _PER_VALUE + (2 * len(value) if isinstance(value, bytes) else 8)
