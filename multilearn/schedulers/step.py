"""Constant for a while, then lower: after every so many updates, or at given ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from multilearn.errors import ConfigurationError
from multilearn.schedulers.arguments import at_least, positive, rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Piecewise", "Step"]


@dataclass(frozen=True)
class Step(Pure):
    """Falls by the factor `gamma`, 0 < gamma <= 1, after every `every` optimizer updates.

    lr(i) = initial * gamma ** floor(i / every)

    (As torch's `StepLR`, in updates.)

    >>> [Step(1.0, every=2, gamma=0.5).learning_rate(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    initial: float
    every: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        settle(
            self,
            initial=rate("initial", self.initial),
            every=at_least(1, "every", self.every),
            gamma=positive("gamma", self.gamma, most=1.0),
        )

    def learning_rate(self, update: int) -> float:
        return float(self.initial * self.gamma ** (update // self.every))


@dataclass(frozen=True)
class Piecewise(Pure):
    """One rate after the other: the next one from each of `boundaries` on, in optimizer updates.

    lr(i) = rates[k], where k is the number of boundaries that are at most i

    (Keras' `PiecewiseConstantDecay` changes one update later: there the boundary itself still has the rate before it.)

    >>> [Piecewise((0.1, 0.01, 0.001), boundaries=(2, 3)).learning_rate(i) for i in range(5)]
    [0.1, 0.1, 0.01, 0.001, 0.001]
    """

    rates: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("rates", "boundaries"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Iterable):
                raise ConfigurationError(
                    "Piecewise has several rates, and boundaries between them.",
                    received=f"{name}={getattr(self, name)!r}",
                    remedy="Write for instance Piecewise((0.1, 0.01), boundaries=(1000,)).",
                )
        settle(
            self,
            rates=tuple(rate("rates", each) for each in self.rates),
            boundaries=tuple(at_least(1, "boundaries", each) for each in self.boundaries),
        )
        if len(self.rates) != len(self.boundaries) + 1:
            raise ConfigurationError(
                "Piecewise has one rate more than boundaries between them.",
                received=f"{len(self.rates)} rates and {len(self.boundaries)} boundaries",
                remedy="Write for instance Piecewise((0.1, 0.01), boundaries=(1000,)).",
            )
        if any(after <= before for before, after in pairwise(self.boundaries)):
            raise ConfigurationError(
                "Each boundary of Piecewise comes after the one before it.",
                received=f"boundaries={self.boundaries}",
                remedy="They are counted from the beginning of the schedule, not from one another.",
            )

    def learning_rate(self, update: int) -> float:
        return self.rates[bisect_right(self.boundaries, update)]
