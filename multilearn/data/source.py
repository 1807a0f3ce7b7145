"""What a `DataLoader` was given: columns of arrays, or a dataset of items."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from multilearn.data.aligned import copied, taken
from multilearn.data.arrays import host_array, is_tensor, require_values
from multilearn.data.nested import flat, leaves, mapped
from multilearn.errors import DataError
from multilearn.protocols import Batch

__all__ = ["Columns", "Items", "rows", "source_of"]

_READ_FOR_LABELS = 256 << 20
"""Bytes of a file that `fit` reads beforehand, to look at the labels in it."""


class Columns:
    """Arrays whose first axis is the items, nested in tuples, lists and dicts."""

    def __init__(self, data: Any) -> None:
        try:
            self.arrays = mapped(_column, data)
        except DataError:
            for path, leaf in leaves(data):
                _column(leaf, path)
            raise
        self._items = _count(self.arrays)

    def __len__(self) -> int:
        return self._items

    def gathered(self, items: np.ndarray[Any, Any] | slice) -> Batch:
        """A copy of the items, whatever the arrays are in: the user's data is never written into."""

        def own(array: np.ndarray[Any, Any]) -> Any:
            return host_array(copied(array[items]) if isinstance(items, slice) else taken(array, items))

        batch = mapped(own, self.arrays)
        self._unmap()
        return batch

    def parts(self, spans: Iterable[slice]) -> Iterator[Batch]:
        """Views of the items, one span after the other: each to be used before the next one is asked for."""
        for span in spans:
            yield mapped(itemgetter(span), self.arrays)
            self._unmap()

    def require_values(self) -> None:
        """Raise `DataError` for dates and what else is neither numbers nor text."""
        for path, array in leaves(self.arrays):
            require_values(host_array(np.empty(0, array.dtype)), path)

    def whole(self) -> Batch | None:
        """All items as one batch, not copied; None where reading its labels would mean to read a large file."""
        labels = self.arrays[1:] if isinstance(self.arrays, tuple) else self.arrays
        on_disk = sum(array.nbytes for array in flat(labels) if isinstance(array, np.memmap))
        return None if on_disk > _READ_FOR_LABELS else self.arrays

    def _unmap(self) -> None:
        for array in flat(self.arrays):
            if isinstance(array, np.memmap):
                _unmap_pages(array)


class Items:
    """Anything with a length and items by index."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self._items = len(dataset)

    def __len__(self) -> int:
        return self._items


def source_of(data: Any) -> Columns | Items:
    """What `data` is. Raises `DataError` for what has no items, no number type, or columns of different lengths."""
    if isinstance(data, list) and data and all(isinstance(item, (tuple, Mapping)) for item in data):
        return Items(data)
    if isinstance(data, list):
        # Keras reads [x, y] as two inputs, people mean (x, y): a list of arrays is taken for a tuple of columns,
        # a list of numbers or texts for one array.
        columns = bool(data) and all(is_tensor(column) for column in data)
        return Columns(tuple(data) if columns else host_array(data, "data"))
    if data is None or isinstance(data, (tuple, Mapping, str, bytes)) or is_tensor(data) or hasattr(data, "__array__"):
        return Columns(dict(data) if isinstance(data, Mapping) else data)
    if hasattr(data, "on_epoch_end") or (hasattr(data, "__iter__") and not hasattr(data, "__getitem__")):
        raise DataError(
            "A DataLoader makes batches of arrays, or of the items of a dataset with __len__ and __getitem__.",
            received=type(data).__name__,
            remedy="Pass an iterable that already yields batches to fit directly.",
        )
    if hasattr(data, "__getitem__"):
        if not hasattr(data, "__len__"):
            raise DataError(
                "A dataset must have a length: __len__ besides __getitem__.",
                received=type(data).__name__,
                remedy="Add it, or give fit an iterable of batches.",
            )
        return Items(data)
    return Columns(data)


def _unmap_pages(array: np.memmap[Any, Any]) -> None:
    """The pages that were read stay in the system's cache, but this process holds none of them any more."""
    root: Any = array
    while isinstance(root, np.ndarray):
        root = root.base
    # what was written into a private mapping is nowhere else
    if isinstance(root, mmap.mmap) and array.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        root.madvise(mmap.MADV_DONTNEED)


def _column(leaf: Any, path: str = "data") -> Any:
    array = leaf if isinstance(leaf, np.ndarray) else host_array(leaf, path)
    if array.ndim == 0:
        raise DataError(
            "Every array must have the items as its first axis.",
            received=f"{path}, a {type(leaf).__name__} of shape () and type {array.dtype}",
            remedy="Make an array of a list with numpy.asarray.",
        )
    # a transform may make numbers of dates, but not of what is no array
    return require_values(array, path) if array.dtype == object or np.ma.isMaskedArray(array) else array


def _count(arrays: Any) -> int:
    counts = {path: len(array) for path, array in leaves(arrays)}
    if len(set(counts.values())) != 1:
        raise DataError(
            "All arrays must have the same number of items.",
            received=", ".join(f"{path}: {count}" for path, count in counts.items()) or "no array",
            remedy="Give one array, or tuples and dicts of arrays of one length.",
        )
    return next(iter(counts.values()))


def rows(batch: Batch, count: int) -> Sequence[Any]:
    """The items of a batch of columns, one by one."""
    return [mapped(itemgetter(row), batch) for row in range(count)]
