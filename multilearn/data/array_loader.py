"""Batches out of arrays that are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

import numpy as np

from multilearn import seed as seeds
from multilearn.data.order import permutation
from multilearn.data.structure import leaves, mapped
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Batch

__all__ = ["DataLoader"]


class DataLoader:
    """Batches of `data`: one array, or tuples and dicts of arrays with the same number of items, (items, ...).

    A batch has the structure of `data` with at most `batch_size` items in each array; the last one of an epoch has
    what is left, unless `drop_last`. With `shuffle` the order is a function of the seed and the epoch. A tuple is
    understood as in Keras: `(x, y)` or `(x, y, sample_weight)`, where x and y may be dicts.

    Raises `DataError` for arrays of different lengths, `ConfigurationError` for a bad `batch_size`.
    """

    def __init__(self, data: Any, batch_size: int, *, shuffle: bool = False, drop_last: bool = False) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ConfigurationError(
                "batch_size must be a whole number of at least 1.",
                received=repr(batch_size),
                remedy="Write for instance batch_size=64.",
            )
        self._data = mapped(_array, _tuple_of_columns(data))
        self._items = _items(self._data)
        self._batch_size = int(batch_size)
        self._shuffle = shuffle
        self._drop_last = drop_last

    def __len__(self) -> int:
        """How many batches there are in an epoch."""
        if self._drop_last:
            return self._items // self._batch_size
        return -(-self._items // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the first epoch, under the seed in force: for a look at them."""
        return self.iterate(seeds.current(), 1)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (from 1) from number `start` (from 0) on; those before it are not loaded."""
        order = permutation(self._items, seed, epoch) if self._shuffle else None
        for number in range(start, len(self)):
            first = number * self._batch_size
            items = slice(first, min(first + self._batch_size, self._items))
            yield mapped(itemgetter(items if order is None else order[items]), self._data)

    def whole(self) -> Batch:
        """All items as one batch, not copied: what is checked before anything is written."""
        return self._data


def _tuple_of_columns(data: Any) -> Any:
    # Keras reads [x, y] as two inputs, people mean (x, y): a list of arrays is taken for a tuple of columns,
    # a list of numbers for one array.
    if isinstance(data, list) and data and all(hasattr(column, "shape") for column in data):
        return tuple(data)
    return np.asarray(data) if isinstance(data, list) else data


def _array(leaf: Any) -> Any:
    array = leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf)
    if array.ndim == 0 or array.dtype == object:
        raise DataError(
            "Every array must have the items as its first axis, and a number type.",
            received=f"{type(leaf).__name__} of shape {array.shape} and type {array.dtype}",
            remedy="Convert it with numpy.asarray first.",
        )
    return array


def _items(data: Any) -> int:
    counts = {path: len(array) for path, array in leaves(data)}
    if len(set(counts.values())) != 1:
        raise DataError(
            "All arrays must have the same number of items.",
            received=", ".join(f"{path}: {count}" for path, count in counts.items()) or "no array",
            remedy="Give one array, or tuples and dicts of arrays of one length.",
        )
    return next(iter(counts.values()))
