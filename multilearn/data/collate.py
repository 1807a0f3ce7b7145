"""How items become a batch: loaded, transformed and stacked, by whichever process or thread it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilearn.data.source import rows
from multilearn.data.stacking import collated
from multilearn.errors import DataError
from multilearn.protocols import Batch
from multilearn.seeding.order import item_stream

__all__ = ["BatchJob", "BatchMaker", "takes_rng"]


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
