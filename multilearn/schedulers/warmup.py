"""Small steps first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from multilearn.arguments import settle
from multilearn.protocols import LRScheduler
from multilearn.schedulers.arguments import check, duration, rate
from multilearn.schedulers.composition import Composition, horizon_of, part, rest, spanned

__all__ = ["Warmup"]


@dataclass(frozen=True)
class Warmup(Composition):
    """A straight line from `initial` to where `schedule` begins, for `updates` optimizer updates; then `schedule`.

    lr(i) = initial + (schedule(0) - initial) * i / updates    for i < updates
    lr(i) = schedule(i - updates)                              after that

    (As optax's `warmup_cosine_decay_schedule` and the `warmup_steps` of Keras' `CosineDecay`.)
    A schedule without a horizon gets what the warm-up leaves of the run, which must be one update at least.

    >>> from multilearn.schedulers import Linear
    >>> warm = Warmup(Linear(1.0, updates=2), updates=4)
    >>> [warm.learning_rate(i) for i in range(7)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0]
    """

    schedule: LRScheduler
    updates: int
    initial: float = 0.0

    def __post_init__(self) -> None:
        settle(self, schedule=part("Warmup", self.schedule))
        check(self, updates=duration, initial=rate)

    @property
    def parts(self) -> Sequence[LRScheduler]:
        return (self.schedule,)

    @property
    def horizon(self) -> int | None:
        """That of `schedule` and the warm-up before it; None while `schedule` has none."""
        horizon = horizon_of(self.schedule)
        return None if horizon is None else self.updates + horizon

    def spanning(self, updates: int) -> Self:
        """With a `schedule` over all but the warm-up. Raises `ConfigurationError` if that leaves nothing."""
        if self.horizon is not None:
            return self
        return replace(self, schedule=spanned(self.schedule, rest(updates, self.updates)))

    def learning_rate(self, update: int) -> float:
        if update >= self.updates:
            return self.schedule.learning_rate(update - self.updates)
        return self.initial + (self.schedule.learning_rate(0) - self.initial) * update / self.updates
