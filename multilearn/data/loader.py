"""Batches out of arrays, in memory or in files, and out of datasets of items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from multilearn.arguments import choice, whole
from multilearn.data.aligned import in_new_memory
from multilearn.data.collate import BatchJob, BatchMaker
from multilearn.data.epochs import BoundedEpochs, first_of_each, next_ones
from multilearn.data.source import Columns, source_of
from multilearn.data.worker_pool import Prefetcher, WorkerProcesses
from multilearn.protocols import Batch, Shard, World, rows_of
from multilearn.seeding import seed as seeds
from multilearn.seeding.order import permutation
from multilearn.seeding.streams import seeded_globals
from multilearn.storage.shield import SHIELD

__all__ = ["DataLoader"]


class DataLoader:
    """Batches of `data`, in an order that is a function of the seed and the epoch.

    `data` is one of
    - arrays with the same number of items, (items, ...): one, or tuples and dicts of them. A tuple is understood as
      in Keras: `(x, y)` or `(x, y, sample_weight)`, where x and y may be dicts. A `numpy.memmap` is never read whole;
    - a dataset: anything with `__len__` and `__getitem__(index)`, or a list of tuples or dicts. An item is an array, a
      number, a text, or a tuple or dict of these; items are stacked along a new first axis. Where there is a
      `__getitems__(indices)`, it is called once for each batch.

    A batch has at most `batch_size` items; the last one of an epoch has what is left, unless `drop_last`.

    `transform`: a function of one item (of arrays: one row of each, nested as `data`) that returns the item to be
    trained on. If it has a parameter `rng` it gets a `numpy.random.Generator` that is a function of the seed, the epoch
    and the index of the item: its draws are then the same however the work is divided, and if a run is resumed.
    What it draws from the global generators of Python, numpy and torch is repeatable too, but not in threads.

        >>> import numpy as np
        >>> def jittered(item, rng):
        ...     x, y = item
        ...     return x + rng.normal(scale=0.1, size=x.shape), y
        >>> loader = DataLoader((np.zeros((100, 3)), np.arange(100)), 32, shuffle=True, transform=jittered)
        >>> [x.shape for x, y in loader]
        [(32, 3), (32, 3), (32, 3), (4, 3)]

    `num_workers`: how many processes (`workers="process"`) or threads (`"thread"`) load and transform; 0: none, it is
    done when a batch is asked for. Processes are fresh interpreters: dataset and transform must be picklable, and a
    script that defines them must have its `if __name__ == "__main__":`. Arrays without a transform need no processes
    and are gathered by threads. Batches and their order do not depend on it.
    `prefetch`: how many batches are made ahead of the one that is handed out; by default two for each worker. Without
    workers, one thread makes them.

    Raises `DataError` for data that does not fit together, and where an item cannot be loaded, naming its index, with
    the error that it met as the cause; `ConfigurationError` for a bad argument, and for what processes cannot be sent.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        num_workers: int = 0,
        workers: str = "process",
        transform: Callable[..., Any] | None = None,
        prefetch: int | None = None,
    ) -> None:
        # in place of a number: the targets, of someone who writes DataLoader(x, y)
        several = hasattr(batch_size, "__getitem__") and not isinstance(batch_size, str)
        remedy = "Give all arrays as one tuple: DataLoader((x, y), batch_size=64)." if several else None
        self._batch_size = whole("batch_size", batch_size, 1, remedy or "Write for instance batch_size=64.")
        self._workers = whole("num_workers", num_workers, 0, "Leave it out to load when a batch is asked for.")
        choice('workers is "process" or "thread"', workers, ("process", "thread"))
        least = 1 if self._workers else 0
        ahead = 2 * self._workers if prefetch is None else prefetch
        self._ahead = whole("prefetch", ahead, least, "Workers make at least one batch ahead; 0 is for none.")
        self.source = source_of(data)
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._maker = BatchMaker(None if isinstance(self.source, Columns) else self.source.dataset, transform)
        self._gathers = isinstance(self.source, Columns) and transform is None
        if isinstance(self.source, Columns) and self._gathers:
            self.source.require_values()
        self._processes = workers == "process" and self._workers > 0 and not self._gathers
        self._prefetcher: Prefetcher | None = None
        self._users = 0

    def __len__(self) -> int:
        """How many batches there are in an epoch."""
        if self._drop_last:
            return len(self.source) // self._batch_size
        return -(-len(self.source) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the first epoch, under the seed in force: for a look at them."""
        return self.iterate(seeds.current(), 1)

    def take(self, batches: int) -> BoundedEpochs:
        """The first `batches` batches of each epoch: `multilearn.take` of this loader."""
        return first_of_each(self, batches)

    def epoch_of(self, batches: int) -> BoundedEpochs:
        """Epochs of `batches` batches, each with the next ones: `multilearn.epoch_of` of this loader."""
        return next_ones(self, batches)

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (from 1) from number `start` (from 0) on; those before it are not loaded."""
        return self._made(self._tasks(seed, epoch, start))

    def shards(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Shard]:
        """What a process of `world` has of the batches that `iterate` yields. It loads no other items."""
        places: deque[tuple[int, int, bool]] = deque()

        def own(tasks: Iterator[BatchJob]) -> Iterator[BatchJob]:
            for task in tasks:
                begin = task.items.start if isinstance(task.items, slice) else 0
                total = task.items.stop - begin if isinstance(task.items, slice) else len(task.items)
                first, end, whole = rows_of(total, world.rank, world.size)
                places.append((first, total, whole))
                rows = slice(begin + first, begin + end)
                yield replace(task, items=rows if isinstance(task.items, slice) else task.items[rows])

        for batch in self._made(own(self._tasks(seed, epoch, start))):
            yield Shard(batch, *places.popleft())

    def _made(self, tasks: Iterator[BatchJob]) -> Iterator[Batch]:
        if self._ahead:
            with self.kept_working():
                assert self._prefetcher is not None
                yield from self._prefetcher.in_order(tasks, self._ahead)
        elif self._gathers:
            yield from map(self._gathered, tasks)
        else:
            for task in tasks:
                with seeded_globals(task.seed, task.epoch, task.number):
                    batch = self._maker(self._with_columns(task))
                yield batch

    @contextmanager
    def kept_working(self) -> Iterator[None]:
        """While it lasts, workers live on from epoch to epoch. `fit` sees to it."""
        if self._prefetcher is None and self._ahead:
            with SHIELD:
                self._prefetcher = self._new_prefetcher()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and self._prefetcher is not None:
                prefetcher, self._prefetcher = self._prefetcher, None
                prefetcher.close()

    def options(self) -> dict[str, Any]:
        """What makes batches of the items: `batch_size`, `shuffle`, `drop_last`, and what the `transform` is called."""
        made = self._maker.transform
        return {
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "drop_last": self._drop_last,
            "transform": None if made is None else getattr(made, "__qualname__", type(made).__name__),
        }

    def whole(self) -> Batch | None:
        """All items as one batch, not copied, to check their labels; None where that would mean to load them."""
        return self.source.whole() if self._gathers and isinstance(self.source, Columns) else None

    def _tasks(self, seed: int, epoch: int, start: int) -> Iterator[BatchJob]:
        count = len(self.source)
        order = permutation(count, seed, epoch) if self._shuffle else None
        for number in range(start, len(self)):
            first = number * self._batch_size
            items = slice(first, min(first + self._batch_size, count))
            yield BatchJob(seed, epoch, number, items if order is None else order[items])

    def _new_prefetcher(self) -> Prefetcher:
        threads = max(self._workers, 1)
        if self._gathers:
            return Prefetcher(self._gathered, threads)
        processes = WorkerProcesses(self._maker, threads) if self._processes else None
        make = processes or self._maker
        return Prefetcher(lambda task: make(self._with_columns(task)), threads, processes)

    def _gathered(self, task: BatchJob) -> Batch:
        assert isinstance(self.source, Columns)
        return self.source.gathered(task.items)

    def _with_columns(self, task: BatchJob) -> BatchJob:
        # arrays are not sent to other processes as a whole: the items of a batch are
        return replace(task, columns=self._gathered(task)) if isinstance(self.source, Columns) else task
