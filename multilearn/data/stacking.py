"""Items as a batch: each is copied into its row before the next one is asked for, so that it may use their memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.data.aligned import empty
from multilearn.data.arrays import host_array, is_tensor, is_text, require_numbers, require_values
from multilearn.errors import DataError
from multilearn.protocols import Batch

__all__ = ["collated"]


def collated(items: Iterable[Any], indices: Sequence[int]) -> Batch:
    """The items stacked along a new first axis: nested as they are, numbers, texts and lists of them as arrays.

    Each is copied before the next one is asked for. Raises `DataError`, naming the item, where one is not like the
    first.
    """
    stack: _Stack | None = None
    for place, item in enumerate(items):
        item = _columns(item)
        if stack is None:
            stack = _stack(item, indices, "item")
        stack.put(place, item)
    assert stack is not None
    return stack.made()


def _columns(item: Any) -> Any:
    # a list of arrays is taken for a tuple of columns, as everywhere
    return tuple(item) if isinstance(item, list) and any(map(is_tensor, item)) else item


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
