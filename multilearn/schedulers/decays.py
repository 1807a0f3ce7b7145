"""Rates that fall along a line, a power, steps, and the constant one."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from multilearn.arguments import settle
from multilearn.errors import ConfigurationError
from multilearn.schedulers.arguments import at_least, check, duration, factor, horizon, positive, progress, rate
from multilearn.schedulers.schedule import OverUpdates, Pure

__all__ = ["Constant", "Exponential", "Linear", "Noam", "Piecewise", "Polynomial", "Step"]


@dataclass(frozen=True)
class Constant(Pure):
    """The same rate at every update.

    lr(i) = rate

    >>> Constant(0.1).learning_rate(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        check(self, rate=rate)

    def learning_rate(self, update: int) -> float:
        return self.rate


@dataclass(frozen=True)
class Exponential(Pure):
    """Falls by the factor `gamma`, 0 < gamma <= 1, in every `every` optimizer updates, smoothly.

    lr(i) = initial * gamma ** (i / every)

    (With `every=1`, the default, torch's `ExponentialLR` stepped at each update, and burn's; else Keras'
    `ExponentialDecay` with `decay_steps=every`. In steps instead of smoothly: `Step`.)

    >>> [Exponential(1.0, 0.25, every=2).learning_rate(i) for i in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    initial: float
    gamma: float
    every: int = 1

    def __post_init__(self) -> None:
        check(self, initial=rate, gamma=factor, every=duration)

    def learning_rate(self, update: int) -> float:
        return float(self.initial * self.gamma ** (update / self.every))


@dataclass(frozen=True)
class Linear(OverUpdates):
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
        check(self, initial=rate, final=rate, updates=horizon)

    def learning_rate(self, update: int) -> float:
        done = progress(update, self.updates)
        return self.final if done == 1 else self.initial + (self.final - self.initial) * done


@dataclass(frozen=True)
class Noam(Pure):
    """Rises in a straight line for `warmup` optimizer updates, then falls with the square root of their number.

    lr(i) = factor * model_size ** -0.5 * min((i + 1) ** -0.5, (i + 1) * warmup ** -1.5)

    (Vaswani et al., Attention Is All You Need, 2017, section 5.3, whose steps count from 1. The highest rate,
    factor / sqrt(model_size * warmup), is that of update warmup - 1.)

    >>> [Noam(model_size=4, warmup=4).learning_rate(i) for i in (0, 1, 3, 15)]
    [0.0625, 0.125, 0.25, 0.125]
    """

    model_size: int
    warmup: int = 4000
    factor: float = 1.0

    def __post_init__(self) -> None:
        check(self, model_size=at_least(1, "features"), warmup=duration, factor=positive)

    def learning_rate(self, update: int) -> float:
        step = update + 1
        return float(self.factor * self.model_size**-0.5 * min(step**-0.5, step * self.warmup**-1.5))


@dataclass(frozen=True)
class Polynomial(OverUpdates):
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
        check(self, initial=rate, final=rate, power=positive, updates=horizon)

    def learning_rate(self, update: int) -> float:
        left = 1 - progress(update, self.updates)
        return float(self.final + (self.initial - self.final) * left**self.power)


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
        check(self, initial=rate, every=duration, gamma=factor)

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
        settle(
            self,
            rates=tuple(rate("rates", each) for each in self.rates),
            boundaries=tuple(duration("boundaries", each) for each in self.boundaries),
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
