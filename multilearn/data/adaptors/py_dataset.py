"""`keras.utils.PyDataset`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from multilearn.data.aligned import in_new_memory
from multilearn.data.arrays import fresh
from multilearn.data.worker_pool import Prefetcher
from multilearn.errors import DataError
from multilearn.protocols import Batch
from multilearn.seeding.streams import seeded_globals

__all__ = ["PyDatasetBatches"]


class PyDatasetBatches:
    """Its batches by number, as Keras' own `fit` takes them: in order, `on_epoch_end` called after each epoch.

    A resumed run calls `on_epoch_end` for the epochs that it does not go through, so that a dataset that shuffles there
    is where it was. With `workers` > 1 as many threads (never processes) make `max_queue_size` batches ahead. Without
    them what it draws from global generators is a function of seed, epoch and batch.
    """

    def __init__(self, dataset: Any) -> None:
        try:
            count = dataset.num_batches
        except NotImplementedError:
            count = None
        if count is None:
            raise DataError(
                "A PyDataset must know how many batches an epoch has.",
                received=f"{type(dataset).__name__}, which does not",
                remedy="Give it a __len__.",
            )
        self._dataset = dataset
        self._ended = 0

    @property
    def shuffles(self) -> bool:
        """Whether it says so itself."""
        return getattr(self._dataset, "shuffle", None) is True

    def __len__(self) -> int:
        return int(self._dataset.num_batches)

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on; those before it are not loaded."""
        while self._ended < epoch - 1:
            self._end(seed)
        with seeded_globals(seed, epoch):
            self._dataset.on_epoch_begin()
        numbers = range(start, len(self))
        if self._dataset.workers > 1:
            with closing(Prefetcher(self._batch, self._dataset.workers)) as prefetcher:
                yield from prefetcher.in_order(numbers, self._dataset.max_queue_size)
        else:
            for number in numbers:
                with seeded_globals(seed, epoch, number + 1):
                    batch = self._batch(number)
                yield batch
        self._end(seed)

    def _batch(self, number: int) -> Batch:
        try:
            return fresh(self._dataset[number])
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"Every batch must load: a PyDataset could not make batch {number}.",
                received=f"{type(error).__name__}: {error}",
                remedy="Load that batch alone to see why.",
            ) from error

    def _end(self, seed: int) -> None:
        self._ended += 1
        with seeded_globals(seed, self._ended, len(self) + 1):
            self._dataset.on_epoch_end()
