"""The first batches of each pass through a loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from multilearn.data.epochs.bounded import BoundedEpochs
from multilearn.data.iteration import batches_of, kept_working, length
from multilearn.data.resume import keeps_place
from multilearn.protocols import Loader, Record, StatefulLoader, World

__all__ = ["first_of_each"]


class FirstBatches(BoundedEpochs):
    """The first batches of each epoch of a loader."""

    asked = "take"

    def __len__(self) -> int:
        known = length(self.loader)
        return self.batches if known is None else min(self.batches, known)

    def kept_working(self) -> AbstractContextManager[None]:
        return kept_working(self.loader)

    def _batches_of(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Any]:
        with batches_of(self.loader, seed, epoch, start, world) as batches:
            yield from islice(batches, self.batches - start)


class StatefulFirstBatches(FirstBatches):
    """Those of a loader that has a state. Where they end, it has none: the next epoch begins at the first batch."""

    loader: StatefulLoader

    def state(self, batch: int) -> Record:
        ended = batch >= self.batches or not keeps_place(self.loader)
        return {"place": None if ended else self.loader.state(batch)}

    def restore(self, state: Record) -> None:
        if state["place"] is not None:
            self.loader.restore(state["place"])


def first_of_each(loader: Loader, batches: int) -> BoundedEpochs:
    """The first `batches` of each epoch of `loader`."""
    return (StatefulFirstBatches if isinstance(loader, StatefulLoader) else FirstBatches)(loader, batches)
