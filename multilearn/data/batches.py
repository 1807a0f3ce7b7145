"""What `fit` was given, as a loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from multilearn.errors import DataError
from multilearn.protocols import Batch, Loader

__all__ = ["Batches", "as_loader"]


class Batches:
    """A sequence of ready batches, in its own order in every epoch."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches from number `start` (from 0) on, whatever seed and epoch."""
        for number in range(start, len(self._batches)):
            yield self._batches[number]


def as_loader(data: Any, split: str) -> Loader:
    """`data` itself if it is a loader, a list of batches wrapped as one. Raises `DataError` for anything else."""
    if isinstance(data, Loader):
        return data
    if isinstance(data, list):
        return Batches(data)
    raise DataError(
        f"The {split} data must be a loader (with a method iterate(seed, epoch, start)) or a list of batches.",
        received=type(data).__name__,
        remedy="Wrap arrays as multilearn.DataLoader((x, y), batch_size=64).",
    )
