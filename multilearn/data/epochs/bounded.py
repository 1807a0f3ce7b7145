"""Epochs of as many batches as are asked for, whatever number a loader has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from multilearn.arguments import whole
from multilearn.data.aligned import in_new_memory
from multilearn.data.resume import resumes_inside_epoch
from multilearn.protocols import ALONE, Batch, Loader, World

__all__ = ["BoundedEpochs", "unbounded"]


class BoundedEpochs(ABC):
    """What both have in common. `loader`: whose batches they are; `batches`: how many an epoch has at most."""

    asked: str

    def __init__(self, loader: Loader, batches: int) -> None:
        self.loader = loader
        self.batches = whole("The number of batches of an epoch", batches, 1, "Write for instance 1000.")

    @property
    def resumes_inside_epoch(self) -> bool:
        return resumes_inside_epoch(self.loader)

    def facts(self) -> dict[str, Any]:
        """How many batches an epoch has, by the name of what asks for it, also of a loader that is bounded already."""
        return {self.asked: self.batches} | (self.loader.facts() if isinstance(self.loader, BoundedEpochs) else {})

    def whole(self) -> Batch | None:
        """All items, to check their labels, if the loader has them in memory."""
        return self.loader.whole() if hasattr(self.loader, "whole") else None

    @in_new_memory
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `start` on."""
        return self._batches_of(seed, epoch, start, ALONE)

    def shards(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Any]:
        """What a process of `world` has of them."""
        return self._batches_of(seed, epoch, start, world)

    @abstractmethod
    def _batches_of(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Any]: ...


def unbounded(loader: Loader) -> Loader:
    """The loader whose batches it has."""
    return unbounded(loader.loader) if isinstance(loader, BoundedEpochs) else loader
