"""A power of what is left of the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from multilearn.schedulers.arguments import horizon, positive, progress, rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Polynomial"]


@dataclass(frozen=True)
class Polynomial(Pure):
    """From `initial` to `final` over `updates` optimizer updates, as a power of what is left, then `final`.

    lr(i) = final + (initial - final) * (1 - min(i / updates, 1)) ** power

    (As Keras' `PolynomialDecay` and optax's `polynomial_schedule`; `power=1` is a straight line.)
    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> [Polynomial(1.0, power=2, updates=4).learning_rate(i) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.5625, 0.25, 0.0, 0.0]
    """

    initial: float
    final: float = 0.0
    power: float = 1.0
    updates: int | None = None

    def __post_init__(self) -> None:
        settle(
            self,
            initial=rate("initial", self.initial),
            final=rate("final", self.final),
            power=positive("power", self.power),
            updates=horizon(self.updates),
        )

    @property
    def horizon(self) -> int | None:
        return self.updates

    def spanning(self, updates: int) -> Self:
        return replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        left = 1 - progress(update, self.updates)
        return float(self.final + (self.initial - self.final) * left**self.power)
