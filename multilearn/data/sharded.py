"""What says of a loader that it yields each process's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from multilearn import backend
from multilearn.data.adapt import as_loader, out_of_order
from multilearn.data.iteration import batches_of, kept_working, length
from multilearn.data.own_rows import as_shards, joined
from multilearn.data.resume import keeps_place, resumes_inside_epoch
from multilearn.protocols import Batch, Loader, Shard, World

__all__ = ["Sharded"]


class Sharded:
    """Says that `data`, anything that `fit` takes, yields this process's own rows of every batch, and no others.

    The batch that is trained on is that of all processes: the rows of the first one, those of the second, and so on.
    All have as many of it, and as many batches; if not, a `DataError` says so in every process, before the batch is
    trained on. A torch `DataLoader` with a `DistributedSampler` need not be wrapped. In a process alone it is `data`
    itself.

    A state of the loader is not saved, for each process has its own: unless the batches are a function of seed, epoch
    and number, a run is resumed at the beginning of an epoch.
    """

    def __init__(self, data: Any) -> None:
        self._loader: Loader = as_loader(data, "sharded")

    def __len__(self) -> int:
        """The batches of an epoch. Raises `TypeError` if the loader does not know."""
        batches = length(self._loader)
        if batches is None:
            raise TypeError(f"{type(self._loader).__name__} has no length.")
        return batches

    @property
    def resumes_inside_epoch(self) -> bool:
        return resumes_inside_epoch(self._loader) and not keeps_place(self._loader)

    @property
    def shuffles(self) -> bool:
        return out_of_order(self._loader) is not None

    def kept_working(self) -> AbstractContextManager[None]:
        return kept_working(self._loader)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of all processes, which hand over their rows: for a look at the first one."""
        world = backend.load().world
        if world.size > 1:
            yield from joined(self.shards(seed, epoch, start, world), world)
        else:
            with batches_of(self._loader, seed, epoch, start) as batches:
                yield from batches

    def shards(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Shard]:
        """What the loader yields, as a part of the batches of all processes."""
        with batches_of(self._loader, seed, epoch, start) as batches:
            yield from as_shards(batches, world, epoch)
