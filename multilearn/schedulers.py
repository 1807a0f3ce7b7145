"""Learning-rate schedules: pure functions of the optimizer update, counted from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Protocol, Self, runtime_checkable

from multilearn.errors import ConfigurationError
from multilearn.history import History
from multilearn.protocols import Record

__all__ = ["Constant", "Cosine", "Linear", "Observing", "Spanning"]


@runtime_checkable
class Spanning(Protocol):
    """A schedule with a horizon, `updates`; None until it is known how many there will be."""

    @property
    def updates(self) -> int | None: ...
    def spanning(self, updates: int) -> Self:
        """The same schedule over `updates` optimizer updates."""
        ...


@runtime_checkable
class Observing(Protocol):
    """A schedule that also depends on how the training goes."""

    def observe(self, epoch: int, history: History) -> None:
        """Told after the validation of every epoch, before its checkpoint is made."""
        ...


class _Stateless:
    """What a pure function of the update has to remember: nothing."""

    def state(self) -> Record:
        return {}

    def restore(self, state: Record) -> None:
        """Nothing to restore."""


@dataclass(frozen=True)
class Constant(_Stateless):
    """The same rate at every update.

    lr(i) = rate

    >>> Constant(0.1).learning_rate(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        _check_rate("rate", self.rate)

    def learning_rate(self, update: int) -> float:
        return self.rate


@dataclass(frozen=True)
class Linear(_Stateless):
    """A straight line from `initial` to `final` over `updates` optimizer updates, then `final`.

    lr(i) = initial + (final - initial) * min(i / updates, 1)

    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> [Linear(1.0, 0.0, updates=4).learning_rate(i) for i in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """

    initial: float
    final: float = 0.0
    updates: int | None = None

    def __post_init__(self) -> None:
        _check_rate("initial", self.initial)
        _check_rate("final", self.final)
        _check_updates(self.updates)

    def spanning(self, updates: int) -> Self:
        return replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        return self.initial + (self.final - self.initial) * _progress(update, self.updates)


@dataclass(frozen=True)
class Cosine(_Stateless):
    """Half a cosine from `initial` down to `minimum` over `updates` optimizer updates, then `minimum`.

    lr(i) = minimum + (initial - minimum) * (1 + cos(pi * min(i / updates, 1))) / 2

    (Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts.)
    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> [round(Cosine(1.0, updates=4).learning_rate(i), 3) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """

    initial: float
    updates: int | None = None
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check_rate("initial", self.initial)
        _check_rate("minimum", self.minimum)
        _check_updates(self.updates)
        if self.minimum > self.initial:
            raise ConfigurationError(
                "A cosine schedule falls: minimum must not be above initial.",
                received=f"initial={self.initial}, minimum={self.minimum}",
                remedy="Exchange the two, or use Linear to rise.",
            )

    def spanning(self, updates: int) -> Self:
        return replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        fall = (1 + math.cos(math.pi * _progress(update, self.updates))) / 2
        return self.minimum + (self.initial - self.minimum) * fall


def _progress(update: int, updates: int | None) -> float:
    if updates is None:
        raise ConfigurationError(
            "A schedule without a horizon has no rate yet.",
            received="updates=None",
            remedy="Give updates=..., or let the learner's fit span the run.",
        )
    return min(update / updates, 1.0)


def _check_rate(name: str, value: Any) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ConfigurationError(
            "A learning rate must be a finite number, 0 or more.",
            received=f"{name}={value!r}",
            remedy="Write for instance 1e-3.",
        )


def _check_updates(updates: Any) -> None:
    if updates is not None and (isinstance(updates, bool) or not isinstance(updates, int) or updates < 1):
        raise ConfigurationError(
            "The horizon of a schedule, in optimizer updates, must be a whole number of at least 1.",
            received=f"updates={updates!r}",
            remedy="To span the whole run, leave it out.",
        )
