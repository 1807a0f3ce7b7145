"""`torch.utils.data.DataLoader`."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from multilearn import backend
from multilearn.data.aligned import in_new_memory
from multilearn.data.arrays import fresh, hosted
from multilearn.data.own_rows import as_shards, joined
from multilearn.errors import DataError
from multilearn.protocols import Batch, Shard, World
from multilearn.seeding.order import derived_seed
from multilearn.seeding.streams import seed_globals, seeded_globals

__all__ = ["TorchBatches", "torch_batches"]


class TorchBatches:
    """Its batches in an order that is a function of the seed and the epoch, whatever sampler it has.

    All indices of an epoch are drawn beforehand, once, from generators that are seeded for it, and what a resumed run
    skips is not loaded; the indices of epochs that it does not go through are drawn, for samplers with a memory of
    their own. What a dataset draws from the global streams is a function of seed, epoch and batch, in workers too;
    without batches of indices (`batch_size=None`) there, of seed, epoch and worker. A dataset without indices
    (`IterableDataset`) cannot go on inside an epoch.
    """

    def __init__(self, loader: Any) -> None:
        torch = sys.modules["torch"]
        self._given = loader
        self.resumes_inside_epoch = not isinstance(loader.dataset, torch.utils.data.IterableDataset)
        # the user's object stays as it is; the copy keeps its workers, where they are persistent, from epoch to epoch
        self._loader = copy.copy(loader)
        vars(self._loader)["_iterator"] = None
        # a collate_fn of the user's may fill the same memory again, and what is not stacked may be part of the dataset
        default = loader.collate_fn is torch.utils.data.default_collate
        self._always_new = default and loader.batch_sampler is not None
        self._indices = _Indices()
        self._drawn: tuple[int, list[Any]] = 0, []
        if self.resumes_inside_epoch:
            vars(self._loader)["sampler" if loader.batch_sampler is None else "batch_sampler"] = self._indices

    @property
    def dataset(self) -> Any:
        """The user's own."""
        return self._given.dataset

    @property
    def shuffles(self) -> bool:
        """Whether its sampler is a random one of torch's, or says that it shuffles."""
        sampler = getattr(self._given.batch_sampler, "sampler", None) or self._given.sampler
        return "Random" in type(sampler).__name__ or getattr(sampler, "shuffle", None) is True

    def __len__(self) -> int:
        """Raises `TypeError` where the loader does not know."""
        return len(self._given)

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on."""
        given = self._given
        if self.resumes_inside_epoch:
            if self._drawn[0] > epoch:
                self._drawn = epoch - 1, []
            while self._drawn[0] < epoch:
                self._drawn = self._drawn[0] + 1, self._draw(seed, self._drawn[0] + 1)
            self._indices.rest = self._drawn[1][start:]
        else:
            self._tell(epoch)
        vars(self._loader)["generator"] = sys.modules["torch"].Generator()
        self._loader.generator.manual_seed(derived_seed(seed, epoch, 1))
        iterator, number = iter(self._loader), start
        while True:
            with ExitStack() as stack:
                if not given.num_workers:
                    stack.enter_context(seeded_globals(seed, epoch, number + 1))
                batch = next(iterator, self)
            if batch is self:
                return
            yield hosted(batch) if self._always_new else fresh(batch)
            number += 1

    def _draw(self, seed: int, epoch: int) -> list[Any]:
        """What the sampler says of an epoch; indices in lists, as batches, know the seed of their batch."""
        given = self._given
        self._tell(epoch)
        with seeded_globals(seed, epoch), _seeded(_generators(given), derived_seed(seed, epoch)):
            indices = list(given.sampler if given.batch_sampler is None else given.batch_sampler)
        if given.batch_sampler is None:
            return indices
        return [
            _OfBatch(batch, derived_seed(seed, epoch, number)) if isinstance(batch, list) else batch
            for number, batch in enumerate(indices, start=1)
        ]

    def _tell(self, epoch: int) -> None:
        for part in (self._given.batch_sampler, self._given.sampler, self._given.dataset):
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)


class DistributedTorchBatches(TorchBatches):
    """Those whose sampler, as torch's `DistributedSampler` does, takes this process's own items."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of all processes, which hand over their rows: for a look at the first one."""
        world = backend.load().world
        yield from joined(self.shards(seed, epoch, start, world), world)

    def shards(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Shard]:
        """What the sampler takes, as a part of the batches of all processes. Raises `DataError` if it is for another
        place than this process has."""
        sampler = _distributed(self._given)
        if (sampler.num_replicas, sampler.rank) != (world.size, world.rank):
            raise DataError(
                "The sampler of a torch DataLoader divides the items among the processes that train.",
                received=f"num_replicas={sampler.num_replicas}, rank={sampler.rank}, and this is rank {world.rank} of "
                f"{world.size}",
                remedy="Leave the DistributedSampler out: fit divides the batches itself.",
            )
        yield from as_shards(super().iterate(seed, epoch, start), world, epoch)


def torch_batches(loader: Any) -> TorchBatches:
    """A torch `DataLoader`, as a loader."""
    return TorchBatches(loader) if _distributed(loader) is None else DistributedTorchBatches(loader)


def _distributed(loader: Any) -> Any:
    """The one of its samplers that takes a process's own items of them all, if any does."""
    samplers = (loader.batch_sampler, loader.sampler, getattr(loader.batch_sampler, "sampler", None))
    return next((each for each in samplers if getattr(each, "num_replicas", 1) > 1 and hasattr(each, "rank")), None)


class _OfBatch(list[Any]):
    """The indices of a batch. Iterating over them, in a worker process too, first sets the seed of the batch."""

    def __init__(self, indices: list[Any], seed: int) -> None:
        super().__init__(indices)
        self._seed = seed

    def __iter__(self) -> Iterator[Any]:
        seed_globals(self._seed)
        return super().__iter__()

    def __reduce__(self) -> tuple[Any, ...]:
        # a slice is a plain list: nothing is seeded in the process that sends it
        return _OfBatch, (self[:], self._seed)


class _Indices:
    """The sampler of an epoch that has been drawn."""

    rest: list[Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rest)

    def __len__(self) -> int:
        return len(self.rest)


def _generators(loader: Any) -> list[Any]:
    """Those that its samplers draw from, where the user gave them any."""
    samplers = [loader.batch_sampler, loader.sampler, getattr(loader.batch_sampler, "sampler", None)]
    found = [getattr(sampler, "generator", None) for sampler in samplers]
    return list({id(generator): generator for generator in found if generator is not None}.values())


@contextmanager
def _seeded(generators: list[Any], seed: int) -> Iterator[None]:
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
