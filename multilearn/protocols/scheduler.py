"""The learning rate of every update."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from multilearn.protocols.arrays import Record

__all__ = ["LRScheduler"]


@runtime_checkable
class LRScheduler(Protocol):
    """The learning rate of every optimizer update."""

    def learning_rate(self, update: int) -> float:
        """The rate of update number `update`, counted from 0 in optimizer updates (not batches, not epochs)."""
        ...

    def state(self) -> Record:
        """What `restore` needs to go on identically; empty for a pure function of the update."""
        ...

    def restore(self, state: Record) -> None:
        """Go on from what `state` returned."""
        ...
