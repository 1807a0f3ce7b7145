"""Rates along half a cosine, once or repeatedly, and the one-cycle policy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Self, get_args

from multilearn.arguments import choice, flag
from multilearn.errors import ConfigurationError
from multilearn.schedulers.arguments import (
    at_least,
    check,
    duration,
    horizon,
    not_above,
    positive,
    progress,
    rate,
    share,
)
from multilearn.schedulers.schedule import OverUpdates, Pure

__all__ = ["Annealing", "Cosine", "OneCycle"]


@dataclass(frozen=True)
class Cosine(Pure):
    """Half a cosine from `initial` down to `minimum` over `updates` optimizer updates, then `minimum`.

    lr(i) = minimum + (initial - minimum) * (1 + cos(pi * min(i / updates, 1))) / 2

    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> [round(Cosine(1.0, updates=4).learning_rate(i), 3) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]

    With warm restarts it starts again after `period` updates, for as long as the run takes; each period is
    `multiplier` times as long as the one before it (so it starts again at period, period * (1 + multiplier), ...):

    lr(i) = minimum + (initial - minimum) * (1 + cos(pi * done / length)) / 2, of the period that update i is in

    >>> [round(Cosine(1.0, period=2, multiplier=2).learning_rate(i), 3) for i in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]

    (Loshchilov and Hutter, SGDR, 2017, equation 5.)
    """

    initial: float
    updates: int | None = None
    minimum: float = 0.0
    period: int | None = None
    multiplier: int = 1

    def __post_init__(self) -> None:
        check(self, initial=rate, updates=horizon, minimum=rate, multiplier=at_least(1, "times the period before"))
        if self.period is not None:
            check(self, period=duration)
        not_above("minimum", self.minimum, "initial", self.initial, "Exchange the two, or use Linear to rise.")
        if self.period is not None and self.updates is not None:
            raise ConfigurationError(
                "A cosine schedule falls once, over updates, or again and again, in every period.",
                received=f"updates={self.updates}, period={self.period}",
                remedy="Leave one of them out.",
            )
        if self.period is None and self.multiplier != 1:
            raise ConfigurationError(
                "The multiplier makes each period of warm restarts longer.",
                received=f"multiplier={self.multiplier}, and no period",
                remedy="Give the length of the first one: period=...",
            )

    @property
    def horizon(self) -> int | None:
        return self.updates if self.period is None else 0

    def spanning(self, updates: int) -> Self:
        return self if self.period is not None else replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        done = progress(update, self.updates) if self.period is None else self._in_period(update, self.period)
        return self.minimum + (self.initial - self.minimum) * (1 + math.cos(math.pi * done)) / 2

    def _in_period(self, update: int, length: int) -> float:
        """The share of its period that is done before `update`."""
        if self.multiplier == 1:
            return update % length / length
        while update >= length:
            update, length = update - length, length * self.multiplier
        return update / length


Annealing = Literal["cosine", "linear"]


@dataclass(frozen=True)
class OneCycle(OverUpdates):
    """From maximum / divisor up to `maximum`, and down to maximum / (divisor * final_divisor), then that.

    With n = updates, in optimizer updates, the highest rate is at update warmup * n - 1, and the last one, that the
    schedule stays at, at n - 1. Between two such points, of which a share s is done,

    lr = start + (end - start) * s                       "linear"
    lr = end + (start - end) * (1 + cos(pi * s)) / 2     "cosine"

    With `three_phases` it comes down to where it began at update 2 * warmup * n - 2, and falls to the end from there.
    (Smith and Topin, Super-Convergence, 2018; value for value torch's `OneCycleLR`, whose `pct_start`, `div_factor`
    and `final_div_factor` are `warmup`, `divisor` and `final_divisor`.)
    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> cycle = OneCycle(1.0, updates=10, warmup=0.3, divisor=5, final_divisor=100, annealing="linear")
    >>> [round(cycle.learning_rate(i), 3) for i in (0, 1, 2, 9, 20)]
    [0.2, 0.6, 1.0, 0.002, 0.002]
    """

    maximum: float
    updates: int | None = None
    warmup: float = 0.3
    divisor: float = 25.0
    final_divisor: float = 1e4
    annealing: Annealing = "cosine"
    three_phases: bool = False

    def __post_init__(self) -> None:
        check(self, maximum=rate, updates=horizon, warmup=share, divisor=positive, final_divisor=positive)
        rule = 'The annealing of OneCycle is "cosine" or "linear"'
        choice(rule, self.annealing, get_args(Annealing), "Leave it out for a cosine.")
        flag("three_phases of OneCycle", self.three_phases, "Leave it out for two phases.")
        if self.three_phases and self.warmup >= 0.5:
            raise ConfigurationError(
                "Rising and falling, of the same length, must leave updates for the third phase.",
                received=f"three_phases=True, warmup={self.warmup}",
                remedy="Write a warmup below 0.5.",
            )

    def learning_rate(self, update: int) -> float:
        progress(update, self.updates)
        points = self._points(self.updates or 0)
        for (before, start), (after, end) in pairwise(points):
            if update <= after:
                done = (update - before) / (after - before) if after > before else 1.0
                if self.annealing == "linear":
                    return (end - start) * done + start
                return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
        return points[-1][1]

    def _points(self, updates: int) -> list[tuple[float, float]]:
        """The updates at which a phase begins or ends, and the rates there."""
        initial, rise = self.maximum / self.divisor, self.warmup * updates
        points = [(0.0, initial), (rise - 1, self.maximum)]
        if self.three_phases:
            points.append((2 * rise - 2, initial))
        return [*points, (updates - 1.0, initial / self.final_divisor)]
