"""Where batches come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from multilearn.protocols.arrays import Batch, Record

__all__ = ["Fingerprinted", "Loader", "StatefulLoader"]


@runtime_checkable
class Loader(Protocol):
    """Batches in an order that is a function of the seed and the epoch. `len()` is optional."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` (counted from 1) from batch number `start` (counted from 0) on.

        Each is copied when it is yielded: the loader may use its memory again.
        """
        ...


@runtime_checkable
class Fingerprinted(Loader, Protocol):
    """A loader that says itself which data it has, for `experiment.json`. Others are known by their first batch."""

    def fingerprint(self) -> str:
        """The same text for the same data, such as a hash or a version; it must not load them again, nor draw."""
        ...


@runtime_checkable
class StatefulLoader(Loader, Protocol):
    """A loader whose place is not a function of seed, epoch and batch number alone, but can be saved."""

    def state(self, batch: int) -> Record:
        """The place from which batch number `batch` (from 0) of the epoch under way is the next: the batch after the
        last one that was taken."""
        ...

    def restore(self, state: Record) -> None:
        """Have the next `iterate` go on from what `state` returned."""
        ...
