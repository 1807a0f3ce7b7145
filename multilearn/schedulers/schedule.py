"""What a learning-rate schedule may offer beyond `LRScheduler`: a horizon, and an eye on how the training goes."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, Protocol, Self, cast, runtime_checkable

from multilearn.errors import ConfigurationError
from multilearn.history import History
from multilearn.protocols import LRScheduler, Record

__all__ = ["Observing", "OverUpdates", "Pure", "Spanning", "private_copy", "spanned"]


@runtime_checkable
class Spanning(Protocol):
    """A schedule with a horizon, in optimizer updates."""

    @property
    def horizon(self) -> int | None:
        """The updates it spans; None while that is not known, 0 where it needs none."""
        ...

    def spanning(self, updates: int) -> Self:
        """The same schedule over `updates` optimizer updates, where it has no horizon yet."""
        ...


@runtime_checkable
class Observing(Protocol):
    """A schedule that also depends on how the training goes.

    It may keep what it concluded: a learner works on a deep copy of its schedule, so that what one learner sees is
    nothing to another. Its `state()` goes into every checkpoint.
    """

    def observe(self, epoch: int, history: History) -> None:
        """Called after the validation of every epoch, before its checkpoint is made."""
        ...


class Pure:
    """What a pure function of the update has to remember: nothing."""

    def state(self) -> Record:
        return {}

    def restore(self, state: Record) -> None:
        """Nothing to restore."""


class OverUpdates(Pure):
    """A frozen dataclass with the field `updates`: the horizon, None for all updates of the run."""

    updates: int | None

    @property
    def horizon(self) -> int | None:
        return self.updates

    def spanning(self, updates: int) -> Self:
        return cast("Self", replace(cast("Any", self), updates=updates))


def private_copy(scheduler: LRScheduler) -> LRScheduler:
    """The scheduler for one learner: a copy where it remembers something, so that no other one shares its memory."""
    remembers = isinstance(scheduler, Observing) or bool(scheduler.state())
    return copy.deepcopy(scheduler) if remembers else scheduler


def spanned(scheduler: LRScheduler, epochs: int, batches: int | None, accumulation: int) -> LRScheduler:
    """The scheduler with its horizon: where it has none, all updates of the run."""
    if not isinstance(scheduler, Spanning) or scheduler.horizon is not None:
        return scheduler
    if batches is None:
        raise ConfigurationError(
            "A schedule that spans the run needs to know how many batches an epoch has.",
            received=f"{scheduler!r} and a training loader without a length",
            remedy="Give the scheduler its horizon: updates=...",
        )
    return scheduler.spanning(epochs * math.ceil(batches / accumulation))
