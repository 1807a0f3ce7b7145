"""What a learning-rate schedule may offer beyond `LRScheduler`: a horizon, and an eye on how the training goes."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from multilearn.history import History
from multilearn.protocols import Record

__all__ = ["Observing", "Pure", "Spanning"]


@runtime_checkable
class Spanning(Protocol):
    """A schedule with a horizon, in optimizer updates."""

    @property
    def horizon(self) -> int | None:
        """The updates it spans; None while that is not known, 0 where it needs none."""
        ...

    def spanning(self, updates: int) -> Self:
        """The same schedule over `updates` optimizer updates, where it has no horizon of its own yet."""
        ...


@runtime_checkable
class Observing(Protocol):
    """A schedule that also depends on how the training goes.

    It may keep what it concluded: a learner works on a deep copy of its schedule, so that what one learner sees is
    nothing to another. Its `state()` goes into every checkpoint.
    """

    def observe(self, epoch: int, history: History) -> None:
        """Told after the validation of every epoch, before its checkpoint is made."""
        ...


class Pure:
    """What a pure function of the update has to remember: nothing."""

    def state(self) -> Record:
        return {}

    def restore(self, state: Record) -> None:
        """Nothing to restore."""
