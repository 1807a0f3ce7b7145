"""Items divided into those that are trained on and those that are validated on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from multilearn.arguments import as_real, as_whole, whole
from multilearn.data.arrays import host_array
from multilearn.data.nested import flat, mapped
from multilearn.data.source import Columns, Items, rows, source_of
from multilearn.errors import ConfigurationError, DataError
from multilearn.foreign_words import refusing
from multilearn.seeding.order import permutation

__all__ = ["train_valid_split"]

Array = np.ndarray[Any, Any]

_NO_EPOCH = 0
"""Epochs are counted from 1: no epoch has the order of a split."""


@refusing
def train_valid_split(data: Any, share: float, seed: int = 0, *, stratify: Any = None) -> tuple[Any, Any]:
    """The items of `data` in two parts, of which the second has `share` of them: `(train, valid)`.

    `data` is what a `DataLoader` takes, and so is each part: arrays, tuples and dicts of them, lists, DataFrames, and
    datasets with `__len__` and `__getitem__`, of which, as of a `numpy.memmap`, nothing is loaded here. Arrays of
    frameworks become numpy's; DataFrames and Series stay what they are, also with columns that are no numbers yet.

    `share`: above 0 and below 1, where a part of an item counts as one; or how many items, as a whole number.
    Which items these are, and their order, is a function of their number, `share` and `seed` alone, on every machine
    and framework, whatever `set_seed` says: a run that is resumed validates on the same ones.
    `stratify`: the class of each item. Each part then has the same share of every class, but for rounding.

    Raises `ConfigurationError` for a bad share or seed, and `DataError` for data that does not fit together, has too
    few items, or is batches already.

    >>> train, valid = train_valid_split((np.arange(10), np.arange(10) % 2), 0.2)
    >>> [len(x) for x, y in (train, valid)]
    [8, 2]
    """
    if isinstance(share, (tuple, list)) or getattr(share, "ndim", None):
        raise ConfigurationError(
            "The share of a split is a number.",
            received=type(share).__name__,
            remedy="Give several arrays as one tuple: train_valid_split((x, y), 0.2).",
        )
    seed = whole("The seed of a split", seed, 0, "Leave it out for 0.")
    tables: dict[int, Any] = {}
    source = _source(data, tables)
    count = len(source)
    order = permutation(count, seed, _NO_EPOCH)
    number = _number(share, count)
    chosen = np.arange(count) < number if stratify is None else _of_each_class(stratify, order, number)
    return _part(data, source, tables, order[~chosen]), _part(data, source, tables, order[chosen])


def _source(data: Any, tables: dict[int, Any]) -> Columns | Items:
    """What `data` is, with numbers in place of each of its DataFrames and Series, which are put into `tables`."""
    of_items = hasattr(data, "__getitem__") or not hasattr(data, "__iter__")
    if not of_items or hasattr(data, "iterate") or hasattr(data, "on_epoch_end"):
        raise DataError(
            "What is split are items, before batches are made of them.",
            received=type(data).__name__,
            remedy="Split the arrays or the dataset, and make a loader of each part; of a tf.data.Dataset, "
            "dataset.skip(n) and dataset.take(n) are two parts.",
        )

    def placed(leaf: Any) -> Any:
        if not hasattr(leaf, "iloc"):
            return leaf
        numbers = np.arange(len(leaf))
        tables[id(numbers)] = leaf
        return numbers

    known = isinstance(data, (tuple, Mapping)) or (
        isinstance(data, list) and all(hasattr(each, "iloc") for each in data)
    )
    return source_of(mapped(placed, data) if known or hasattr(data, "iloc") else data)


def _number(share: Any, count: int) -> int:
    """How many items the second part has."""
    number, real = as_whole(share), as_real(share)
    if number is None and 0 < real < 1:
        # 0.07 * 100 is a little more than 7
        number = math.ceil(round(real * count, 6))
    elif number is None or number < 1:
        raise ConfigurationError(
            "The share of a split is above 0 and below 1, or a number of items.",
            received=repr(share),
            remedy="Write for instance 0.2, or 1000.",
        )
    if number >= count:
        raise DataError(
            "Each part of a split has at least one item.",
            received=f"{count} items, of which {number} are to be validated on",
            remedy="Take a smaller share of them, or give more items.",
        )
    return number


def _of_each_class(stratify: Any, order: Array, number: int) -> Array:
    """Which places of `order` are in the second part: of each class its share, in whole items."""
    classes = host_array(stratify, "stratify")
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.shape != order.shape:
        raise DataError(
            "stratify has the class of each item, (items,).",
            received=f"shape {classes.shape}, for {len(order)} items",
            remedy="Give the targets of a classification: of one-hot targets, y.argmax(axis=-1).",
        )
    _, of_item, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    exact = sizes * number / len(order)
    of_class = np.floor(exact).astype(int)
    # what is left goes where most was cut off, one item for each class
    cut = np.argsort(of_class - exact, kind="stable")
    of_class[cut[: number - of_class.sum()]] += 1
    ordered = of_item[order]
    chosen = np.zeros(len(order), bool)
    for class_, wanted in enumerate(of_class):
        chosen[np.flatnonzero(ordered == class_)[:wanted]] = True
    return chosen


def _part(data: Any, source: Columns | Items, tables: Mapping[int, Any], indices: Array) -> Any:
    if isinstance(source, Items):
        if isinstance(data, list):
            return [data[index] for index in indices]
        return (_ItemsAtOnce if hasattr(data, "__getitems__") else _SomeItems)(data, indices)
    if any(isinstance(array, np.memmap) for array in flat(source.arrays)):
        return _ItemsAtOnce(_Rows(source), indices)
    return mapped(
        lambda array: tables[id(array)].iloc[indices] if id(array) in tables else host_array(array[indices]),
        source.arrays,
    )


class _SomeItems:
    """A dataset that has some of the items of another."""

    def __init__(self, dataset: Any, indices: Array) -> None:
        self._dataset = dataset
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Any:
        return self._dataset[int(self._indices[index])]


class _ItemsAtOnce(_SomeItems):
    """One whose items can be loaded several at a time."""

    def __getitems__(self, indices: list[int]) -> Any:
        return self._dataset.__getitems__([int(self._indices[index]) for index in indices])


class _Rows:
    """The rows of arrays in files: no more of them are in memory than are asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> Any:
        return rows(self._columns.gathered(np.array(indices)), len(indices))
