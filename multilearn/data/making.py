"""How items become a batch: loaded, transformed and stacked, by whichever process or thread it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from multilearn.data.host import host_array, is_tensor, require_numbers
from multilearn.data.order import item_stream
from multilearn.data.source import rows
from multilearn.errors import DataError
from multilearn.protocols import Batch

__all__ = ["BatchMaker", "Task", "collated", "takes_rng"]


@dataclass(frozen=True)
class Task:
    """One batch to be made: its number in the epoch, the indices of its items, and these where they are arrays."""

    seed: int
    epoch: int
    number: int
    items: slice | np.ndarray[Any, Any]
    columns: Batch = None

    @property
    def indices(self) -> list[int]:
        """The items as indices."""
        if isinstance(self.items, slice):
            return list(range(self.items.start, self.items.stop))
        return [int(index) for index in self.items]


@dataclass(frozen=True)
class BatchMaker:
    """Loads the items of a task from `dataset` (None: they come with it), transforms each, and stacks them."""

    dataset: Any
    transform: Callable[..., Any] | None

    def __call__(self, task: Task) -> Batch:
        indices = task.indices
        if self.dataset is None:
            items = rows(task.columns, len(indices))
        elif hasattr(self.dataset, "__getitems__"):
            items = self._at_once(task, indices)
        else:
            items = [self._loaded(task, index) for index in indices]
        if self.transform is not None:
            items = [self._transformed(task, index, item) for index, item in zip(indices, items, strict=True)]
        return collated(items, indices)

    def _at_once(self, task: Task, indices: list[int]) -> Sequence[Any]:
        try:
            return list(self.dataset.__getitems__(indices))
        except Exception as error:
            raise _failed("load", f"batch {task.number}, items {indices}", error) from error

    def _loaded(self, task: Task, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            raise _failed("load", f"item {index}, in batch {task.number}", error) from error

    def _transformed(self, task: Task, index: int, item: Any) -> Any:
        assert self.transform is not None
        try:
            if takes_rng(self.transform):
                return self.transform(item, rng=item_stream(task.seed, task.epoch, index))
            return self.transform(item)
        except Exception as error:
            raise _failed("transform", f"item {index}, in batch {task.number}", error) from error


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether it has a parameter `rng`."""
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        # of some functions written in C nothing is known
        return False


def collated(items: Sequence[Any], indices: Sequence[int]) -> Batch:
    """The items stacked along a new first axis: nested as they are, numbers and lists of numbers as arrays.

    Raises `DataError`, naming the item, where one is not like the first.
    """
    first = _columns(items[0])
    return _stacked([first, *(_columns(item) for item in items[1:])], indices, "item")


def _columns(item: Any) -> Any:
    # a list of arrays is taken for a tuple of columns, as everywhere
    return tuple(item) if isinstance(item, list) and any(map(is_tensor, item)) else item


def _stacked(parts: Sequence[Any], indices: Sequence[int], path: str) -> Any:
    first = parts[0]
    if first is None:
        _require_alike([part is None for part in parts], indices, path, "None")
        return None
    if isinstance(first, Mapping):
        alike = [isinstance(part, Mapping) and part.keys() == first.keys() for part in parts]
        _require_alike(alike, indices, path, f"the keys {', '.join(map(repr, first))}")
        return {key: _stacked([part[key] for part in parts], indices, f"{path}[{key!r}]") for key in first}
    if isinstance(first, tuple):
        alike = [isinstance(part, tuple) and len(part) == len(first) for part in parts]
        _require_alike(alike, indices, path, f"{len(first)} columns")
        columns = [
            _stacked([*map(itemgetter(place), parts)], indices, f"{path}[{place}]") for place in range(len(first))
        ]
        return type(first)(*columns) if hasattr(first, "_fields") else tuple(columns)
    arrays = [require_numbers(host_array(part), path) for part in parts]
    _require_alike([array.shape == arrays[0].shape for array in arrays], indices, path, f"shape {arrays[0].shape}")
    return np.stack(arrays)


def _require_alike(alike: Sequence[bool], indices: Sequence[int], path: str, expected: str) -> None:
    if not all(alike):
        other = indices[alike.index(False)]
        raise DataError(
            f"Items of one batch must be alike to be stacked: item {indices[0]} has {expected} in {path}.",
            received=f"item {other}, which has not",
            remedy="Bring them to one form with transform=, for instance by padding.",
        )


def _failed(what: str, where: str, error: Exception) -> DataError:
    return DataError(
        f"Every item must load: a loader could not {what} {where}.",
        received=f"{type(error).__name__}: {error}",
        remedy="Look at that item of the data by itself.",
    )
