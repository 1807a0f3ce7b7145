"""Half a cosine, once or again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from multilearn.errors import ConfigurationError
from multilearn.schedulers.arguments import at_least, horizon, not_above, progress, rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Cosine"]


@dataclass(frozen=True)
class Cosine(Pure):
    """Half a cosine from `initial` down to `minimum` over `updates` optimizer updates, then `minimum`.

    lr(i) = minimum + (initial - minimum) * (1 + cos(pi * min(i / updates, 1))) / 2

    Without `updates` it spans the run: epochs x ceil(batches / accumulation).

    >>> [round(Cosine(1.0, updates=4).learning_rate(i), 3) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]

    With warm restarts it begins anew after `period` updates, for as long as the run takes; each period is
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
        settle(
            self,
            initial=rate("initial", self.initial),
            updates=horizon(self.updates),
            minimum=rate("minimum", self.minimum),
            period=None if self.period is None else at_least(1, "period", self.period),
            multiplier=at_least(1, "multiplier", self.multiplier, unit="times the period before"),
        )
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
