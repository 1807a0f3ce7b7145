"""A straight line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from multilearn.schedulers.arguments import horizon, progress, rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Linear"]


@dataclass(frozen=True)
class Linear(Pure):
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
        settle(
            self,
            initial=rate("initial", self.initial),
            final=rate("final", self.final),
            updates=horizon(self.updates),
        )

    @property
    def horizon(self) -> int | None:
        return self.updates

    def spanning(self, updates: int) -> Self:
        return replace(self, updates=updates)

    def learning_rate(self, update: int) -> float:
        done = progress(update, self.updates)
        return self.final if done == 1 else self.initial + (self.final - self.initial) * done
