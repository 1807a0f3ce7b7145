"""Going through a loader: a batch stays what it was when it was yielded, whatever the loader does next."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext

from multilearn.data.aligned import is_in_new_memory
from multilearn.data.arrays import owned
from multilearn.data.nested import flat, mapped
from multilearn.protocols import ALONE, Batch, Loader, Shard, ShardingLoader, World, rows_of

__all__ = ["Passing", "batches_of", "closing_after", "items_in", "kept_working", "length"]

_END = object()


@contextmanager
def batches_of(
    loader: Loader, seed: int, epoch: int, start: int = 0, world: World = ALONE
) -> Iterator[Iterator[Batch]]:
    """The batches of `epoch` from number `start` on, each a copy made when it is yielded; closed in any case. In a
    `world` of several processes they are `Shard`s: a `ShardingLoader`, such as a `DataLoader`, loads no rows but this
    process's own.

    Any other loader may refill its memory, or undo a change, as soon as it is asked for the next batch. That may happen
    before the batch is trained on: frameworks compute asynchronously.
    """
    if world.size > 1 and isinstance(loader, ShardingLoader):
        with closing_after(loader.shards(seed, epoch, start, world)) as shards:
            yield shards
        return
    with closing_after(loader.iterate(seed, epoch, start)) as batches:
        kept = batches if is_in_new_memory(loader) else map(owned, batches)
        yield kept if world.size == 1 else (_shard(batch, world) for batch in kept)


def length(loader: Loader) -> int | None:
    """How many batches an epoch has, None if it is not known."""
    try:
        return len(loader) if isinstance(loader, Sized) else None
    except (TypeError, NotImplementedError):
        return None


def kept_working(loader: Loader) -> AbstractContextManager[None]:
    """While it lasts, the workers of a `DataLoader` live on from epoch to epoch; afterwards there are none."""
    return getattr(loader, "kept_working", nullcontext)()


def items_in(batch: Batch) -> int | None:
    """How many items a batch has, with those of other processes: the length of its first array. None without one."""
    if isinstance(batch, Shard):
        return batch.total
    for leaf in flat(batch):
        if shape := getattr(leaf, "shape", None):
            return int(shape[0])
    return None


class Passing(Iterator[Batch]):
    """The batches of an epoch, which can be asked whether there is another one."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._made: list[Batch] = []

    def __next__(self) -> Batch:
        return self._made.pop() if self._made else next(self._batches)

    @property
    def ended(self) -> bool:
        """Whether there is none; if there is one, it is made, and is the next one."""
        if not self._made and (batch := next(self._batches, _END)) is not _END:
            self._made.append(batch)
        return not self._made


def _shard(batch: Batch, world: World) -> Shard:
    total = len(flat(batch)[0])
    first, end, whole = rows_of(total, world.rank, world.size)
    return Shard(mapped(lambda leaf: leaf[first:end], batch), first, total, whole)


@contextmanager
def closing_after(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """The iterator, closed in any case: also where an error keeps a reference to it alive."""
    try:
        yield batches
    finally:
        if hasattr(batches, "close"):
            batches.close()
