"""Which data a loader has, in a few words: the same for the same values, whatever framework's arrays they are in.

Columns of arrays, items in a list, and ready batches in a list have the same fingerprint where they have the same items
in the same order: how they are shuffled and divided into batches does not count. Of anything else only the batch is
known that `fit` looks at anyway, and nothing else is loaded.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from multilearn.data.adapt import Batches
from multilearn.data.adaptors import TorchBatches
from multilearn.data.arrays import host_array, hosted, is_text
from multilearn.data.collate import collated
from multilearn.data.epochs import BoundedEpochs, unbounded
from multilearn.data.iteration import items_in
from multilearn.data.loader import DataLoader
from multilearn.data.nested import flat, leaves
from multilearn.data.source import Columns, Items
from multilearn.errors import DataError
from multilearn.protocols import Batch, Fingerprinted, Loader

__all__ = ["ALL", "data_facts", "loader_facts"]

Array = np.ndarray[Any, Any]
Described = dict[str, Any]

ALL = "all"
_SAMPLE = 256
"""How many items are read, evenly spaced."""
_LIMIT = 32 << 20
"""Bytes that are read: of large items, fewer than the sample has."""
_HASHED = frozenset("biufcmM")
"""The kinds of arrays whose bytes are their values."""
_PARTS = ("x", "y", "sample_weight")


def data_facts(loader: Loader, first: Batch | None) -> Described:
    """What there is to say of the data, by what it is said of.

    `all` items; `256 of 60000 items`, evenly spaced, where there are more, and fewer where these have more than 32 MiB;
    of ready batches the first ones, up to 32 MiB; the `first batch of 8` where no more is known, or a transform makes
    of the items what is trained on, if `first` is not None. Each says by array its `dtype`, `shape` and the `sha256` of
    its little-endian bytes, of text in UTF-8. What a loader says of itself is under `its own`. Raises `DataError` where
    that is no text.
    """
    loader = unbounded(loader)
    if isinstance(loader, Fingerprinted):
        return {"its own": _own(loader)}
    known = _of_items(loader)
    # of a transform only its results tell
    transformed = isinstance(loader, DataLoader) and loader.options()["transform"] is not None
    if first is not None and (transformed or not known):
        size = items_in(first)
        known[f"first batch of {size}" if size else "first batch"] = _arrays([first])
    return known


def loader_facts(loader: Loader, batches: int | None, first: Batch) -> Described:
    """How the data are divided into batches, as far as it is known."""
    seen = {"batches": batches, "batch_size": items_in(first)}
    bounds, loader = loader.facts() if isinstance(loader, BoundedEpochs) else {}, unbounded(loader)
    return seen | bounds | (loader.options() if isinstance(loader, DataLoader) else {})


def _own(loader: Fingerprinted) -> str:
    fingerprint = loader.fingerprint()
    if not isinstance(fingerprint, str):
        raise DataError(
            "A loader's fingerprint() must return a text that is the same for the same data.",
            received=repr(fingerprint),
            remedy="Return for instance a version, or a hexdigest.",
        )
    return fingerprint


def _of_items(loader: Loader) -> Described:
    """What is said of the items, where they are in memory or in files by their index; else nothing."""
    try:
        if isinstance(loader, Batches):
            return _of_batches(loader.batches)
        source = loader.source if isinstance(loader, DataLoader) else None
        if isinstance(source, Columns):
            return _of_columns(source)
        dataset = loader.dataset if isinstance(loader, TorchBatches) else getattr(source, "dataset", None)
        if (tensors := _tensors(dataset)) is not None:
            return _of_columns(Columns(tensors))
        return _of_list(dataset) if isinstance(source, Items) and isinstance(dataset, list) else {}
    except DataError:
        # what only a transform makes alike, or will be refused with its place when its turn comes
        return {}


def _of_columns(columns: Columns) -> Described:
    count = len(columns)
    places = _sampled(count, _size(columns.arrays))
    return {_of(places, count): _arrays(columns.parts(slice(place, place + 1) for place in places))}


def _of_list(items: list[Any]) -> Described:
    count = len(items)
    places = _sampled(count, _size(collated(items[:1], [0])) * count)
    return {_of(places, count): _arrays([collated([items[place] for place in places], places)])}


def _of_batches(batches: Sequence[Batch]) -> Described:
    read, seen = 0, 0

    def within_limit() -> Iterator[Batch]:
        nonlocal read, seen
        for batch in map(hosted, batches):
            read += _size(batch)
            if seen and read > _LIMIT:
                return
            seen += 1
            yield batch

    found = _arrays(within_limit())
    return {ALL if seen == len(batches) else f"first {seen} of {len(batches)} batches": found}


def _tensors(dataset: Any) -> tuple[Any, ...] | None:
    """Those of a torch `TensorDataset`."""
    torch_data: Any = sys.modules.get("torch.utils.data")
    known = torch_data is not None and isinstance(dataset, torch_data.TensorDataset)
    return tuple(dataset.tensors) if known else None


def _size(batch: Batch) -> int:
    """The bytes of its values."""
    return sum(sum(map(len, array.flat)) if is_text(array) else array.nbytes for array in flat(batch))


def _sampled(count: int, size: int) -> Sequence[int]:
    """Evenly spaced places, the first and the last among them: as many as the limit allows, one at least."""
    few = min(_SAMPLE, count, max(1, _LIMIT * count // max(size, 1)))
    return [place * (count - 1) // max(few - 1, 1) for place in range(few)]


def _of(places: Sequence[int], count: int) -> str:
    return ALL if len(places) == count else f"{len(places)} of {count} items"


def _arrays(batches: Iterable[Batch]) -> dict[str, Described]:
    """What all batches together are, by array: as if they were one."""
    seen: dict[str, _Digest] = {}
    for batch in batches:
        for name, leaf in _named(batch):
            seen.setdefault(name, _Digest()).add(leaf)
    return {name: digest.facts() for name, digest in seen.items()}


def _named(batch: Batch) -> Iterator[tuple[str, Any]]:
    """The arrays of a batch by what they are: `x`, `y['left']`, `sample_weight`, as Keras understands a tuple."""
    parts = tuple(batch) if isinstance(batch, list) else batch
    if not isinstance(parts, tuple):
        return leaves(batch, "x")
    named = _PARTS if len(parts) <= len(_PARTS) else [f"[{place}]" for place in range(len(parts))]
    return (found for name, part in zip(named, parts, strict=False) for found in leaves(part, name))


def _bytes_of(array: Array) -> Array:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8)


def _bytes_of_text(array: Array) -> Array:
    """Of each text its length and its bytes, which are the same as `str` and as UTF-8 in `bytes`."""
    texts = (text if isinstance(text, bytes) else text.encode(errors="surrogatepass") for text in array.flat)
    return np.frombuffer(b"".join(len(text).to_bytes(8, "little") + text for text in texts), np.uint8)


class _Digest:
    """One array, as its parts come in one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._items = 0
        self._kinds: dict[tuple[str, tuple[int, ...]], None] = {}

    def add(self, leaf: Any) -> None:
        try:
            array = host_array(leaf)
        except DataError:
            array = np.empty(0, object)
        text = array.size > 0 and is_text(array)
        self._items += array.shape[0] if array.ndim else 1
        self._kinds["text" if text else array.dtype.name, array.shape[1:]] = None
        if text or array.dtype.kind in _HASHED:
            self._hash.update((_bytes_of_text(array) if text else _bytes_of(array)).data)

    def facts(self) -> Described:
        dtypes = " and ".join(dict.fromkeys(dtype for dtype, _ in self._kinds))
        shapes = {shape for _, shape in self._kinds}
        shape = [self._items, *next(iter(shapes))] if len(shapes) == 1 else [self._items, "various"]
        return {"dtype": dtypes, "shape": shape, "sha256": self._hash.hexdigest()}
