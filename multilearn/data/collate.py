"""How items become a batch, by whichever process or thread it is: loaded, transformed, and stacked.

Each is copied into its row before the next one is asked for, so that it may use its memory.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.data.aligned import empty
from multilearn.data.arrays import host_array, is_tensor, is_text, require_numbers, require_values
from multilearn.data.source import rows
from multilearn.errors import DataError
from multilearn.protocols import Batch
from multilearn.seeding.order import item_stream

__all__ = ["BatchJob", "BatchMaker", "collated", "takes_rng"]


def collated(items: Iterable[Any], indices: Sequence[int]) -> Batch:
    """The items stacked along a new first axis: nested as they are, numbers, texts and lists of them as arrays.

    Each is copied before the next one is asked for. Raises `DataError`, naming the item, where one is not like the
    first.
    """
    stack: _Stack | None = None
    for place, item in enumerate(items):
        if isinstance(item, list) and any(map(is_tensor, item)):
            item = tuple(item)  # of columns, as everywhere
        if stack is None:
            stack = _stack(item, indices, "item")
        stack.put(place, item)
    assert stack is not None
    return stack.made()


def _stack(first: Any, indices: Sequence[int], path: str) -> _Stack:
    if first is None:
        return _Nothing(indices, path)
    if isinstance(first, Mapping):
        return _Map(indices, path, {key: _stack(part, indices, f"{path}[{key!r}]") for key, part in first.items()})
    if isinstance(first, tuple):
        columns = [_stack(part, indices, f"{path}[{place}]") for place, part in enumerate(first)]
        return _Columns(indices, path, columns, type(first) if hasattr(first, "_fields") else None)
    array = require_values(host_array(first, path), path)
    of_kind = _Texts if is_text(array) else _Array
    return of_kind(indices, path, empty((len(indices), *array.shape), array.dtype))


@dataclass
class _Stack(ABC):
    """What the items have at `path`, row by row."""

    indices: Sequence[int]
    path: str

    @abstractmethod
    def put(self, place: int, part: Any) -> None:
        """Copy that of an item into its row."""

    @abstractmethod
    def made(self) -> Batch:
        """All rows."""

    def unlike(self, place: int, expected: str) -> DataError:
        return DataError(
            f"Items of one batch must be alike to be stacked: item {self.indices[0]} has {expected} in {self.path}.",
            received=f"item {self.indices[place]}, which does not",
            remedy="Make them alike with transform=, for instance by padding.",
        )


@dataclass
class _Array(_Stack):
    array: np.ndarray[Any, Any]

    def __post_init__(self) -> None:
        self.shape, self.dtype = self.array.shape[1:], self.array.dtype

    def put(self, place: int, part: Any) -> None:
        if not (type(part) is np.ndarray and part.dtype is self.dtype and part.shape == self.shape):
            part = require_numbers(host_array(part, self.path), self.path)
            if part.shape != self.shape:
                raise self.unlike(place, f"shape {self.shape}")
            if part.dtype != self.dtype:
                # of several types, one that holds all of them
                self.dtype = np.result_type(self.dtype, part.dtype)
                self.array = self.array.astype(self.dtype, copy=False)
        self.array[place] = part

    def made(self) -> Batch:
        return self.array


@dataclass
class _Texts(_Array):
    def put(self, place: int, part: Any) -> None:
        part = require_values(host_array(part, self.path), self.path)
        if not is_text(part) or part.shape != self.shape:
            raise self.unlike(place, f"text of shape {self.shape}")
        # without the dots, one text would be an array in the array
        self.array[place, ...] = part


@dataclass
class _Nothing(_Stack):
    def put(self, place: int, part: Any) -> None:
        if part is not None:
            raise self.unlike(place, "None")

    def made(self) -> Batch:
        return None


@dataclass
class _Map(_Stack):
    stacks: Mapping[Any, _Stack]

    def put(self, place: int, part: Any) -> None:
        if not isinstance(part, Mapping) or part.keys() != self.stacks.keys():
            raise self.unlike(place, f"the keys {', '.join(map(repr, self.stacks))}")
        for key, stack in self.stacks.items():
            stack.put(place, part[key])

    def made(self) -> Batch:
        return {key: stack.made() for key, stack in self.stacks.items()}


@dataclass
class _Columns(_Stack):
    stacks: Sequence[_Stack]
    named: type[Any] | None

    def put(self, place: int, part: Any) -> None:
        if not isinstance(part, tuple) or len(part) != len(self.stacks):
            raise self.unlike(place, f"{len(self.stacks)} columns")
        for stack, column in zip(self.stacks, part, strict=True):
            stack.put(place, column)

    def made(self) -> Batch:
        made = [stack.made() for stack in self.stacks]
        return tuple(made) if self.named is None else self.named(*made)


@dataclass(frozen=True)
class BatchJob:
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
    """Loads the items of a task from `dataset` (None: they come with it), transforms each, and stacks them.

    Each is stacked before the next one is loaded: both may use the same memory again.
    """

    dataset: Any
    transform: Callable[..., Any] | None

    def __call__(self, task: BatchJob) -> Batch:
        indices = task.indices
        if self.dataset is None:
            items: Iterable[Any] = rows(task.columns, len(indices))
        elif hasattr(self.dataset, "__getitems__"):
            items = self._at_once(task, indices)
        else:
            items = (self._loaded(task, index) for index in indices)
        if self.transform is not None:
            items = (self._transformed(task, index, item) for index, item in zip(indices, items, strict=True))
        return collated(items, indices)

    def _at_once(self, task: BatchJob, indices: list[int]) -> Iterator[Any]:
        count = 0
        try:
            for item in self.dataset.__getitems__(indices):
                count += 1
                yield item
        except Exception as error:
            raise _failed("load", f"batch {task.number}, items {indices}", error) from error
        if count != len(indices):
            raise DataError(
                "__getitems__(indices) must return one item for each index.",
                received=f"{count} items for {len(indices)} indices, in batch {task.number}",
                remedy="Return them in a list, in the order of the indices.",
            )

    def _loaded(self, task: BatchJob, index: int) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            raise _failed("load", f"item {index}, in batch {task.number}", error) from error

    def _transformed(self, task: BatchJob, index: int, item: Any) -> Any:
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


def _failed(what: str, where: str, error: Exception) -> DataError:
    return DataError(
        f"Every item must load: a loader could not {what} {where}.",
        received=f"{type(error).__name__}: {error}",
        remedy="Load that item alone to see why.",
    )
