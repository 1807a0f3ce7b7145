"""Up once, and down below where it began."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Self, get_args

from multilearn.errors import ConfigurationError
from multilearn.schedulers.arguments import horizon, positive, progress, rate, settle, share
from multilearn.schedulers.schedule import Pure

__all__ = ["Annealing", "OneCycle"]

Annealing = Literal["cosine", "linear"]


@dataclass(frozen=True)
class OneCycle(Pure):
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
        settle(
            self,
            maximum=rate("maximum", self.maximum),
            updates=horizon(self.updates),
            warmup=share("warmup", self.warmup),
            divisor=positive("divisor", self.divisor),
            final_divisor=positive("final_divisor", self.final_divisor),
        )
        if self.annealing not in get_args(Annealing):
            raise ConfigurationError(
                'The annealing of OneCycle is "cosine" or "linear".',
                received=repr(self.annealing),
                remedy="Leave it out for a cosine.",
            )
        if not isinstance(self.three_phases, bool):
            raise ConfigurationError(
                "three_phases of OneCycle is True or False.",
                received=repr(self.three_phases),
                remedy="Leave it out for two phases.",
            )
        if self.three_phases and self.warmup >= 0.5:
            raise ConfigurationError(
                "Rising and coming down again, of one length each, must leave something of the run.",
                received=f"three_phases=True, warmup={self.warmup}",
                remedy="Write a warmup below 0.5.",
            )

    @property
    def horizon(self) -> int | None:
        return self.updates

    def spanning(self, updates: int) -> Self:
        return replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        progress(update, self.updates)
        points = self._points(self.updates or 0)
        for (before, start), (after, end) in pairwise(points):
            if update <= after:
                done = (update - before) / (after - before) if after > before else 1.0
                return self._between(start, end, done)
        return points[-1][1]

    def _points(self, updates: int) -> list[tuple[float, float]]:
        """The updates at which a phase begins or ends, and the rates there."""
        initial, rise = self.maximum / self.divisor, self.warmup * updates
        points = [(0.0, initial), (rise - 1, self.maximum)]
        if self.three_phases:
            points.append((2 * rise - 2, initial))
        return [*points, (updates - 1.0, initial / self.final_divisor)]

    def _between(self, start: float, end: float, done: float) -> float:
        if self.annealing == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)
