"""`torch.utils.data.DataLoader`."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from multilearn.data.host import fresh, hosted
from multilearn.data.order import derived_seed, seeded_globals
from multilearn.protocols import Batch

__all__ = ["TorchBatches"]


class TorchBatches:
    """Its batches in an order that is a function of the seed and the epoch, whatever sampler it has.

    All indices of an epoch are drawn beforehand, from generators that are seeded for it, and what a resumed run skips
    is not loaded. Without workers, random transforms are a function of seed, epoch and batch; the seed of the workers
    is one of seed and epoch. A dataset without indices (`IterableDataset`) cannot go on inside an epoch.
    """

    def __init__(self, loader: Any) -> None:
        torch = sys.modules["torch"]
        self._given = loader
        self.resumes_inside_epoch = not isinstance(loader.dataset, torch.utils.data.IterableDataset)
        # the user's object stays as it is; the copy keeps its workers, where they are persistent, from epoch to epoch
        self._loader = copy.copy(loader)
        vars(self._loader)["_iterator"] = None
        self._indices = _Indices()
        if self.resumes_inside_epoch:
            vars(self._loader)["sampler" if loader.batch_sampler is None else "batch_sampler"] = self._indices

    def __len__(self) -> int:
        """Raises `TypeError` where the loader does not know."""
        return len(self._given)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on."""
        given = self._given
        for part in (given.batch_sampler, given.sampler, given.dataset):
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        if self.resumes_inside_epoch:
            sampler = given.sampler if given.batch_sampler is None else given.batch_sampler
            with seeded_globals(seed, epoch), _seeded(_generators(given), derived_seed(seed, epoch)):
                self._indices.rest = list(sampler)[start:]
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
            # what nobody has stacked may be part of the dataset itself
            yield fresh(batch) if given.batch_sampler is None else hosted(batch)
            number += 1


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
