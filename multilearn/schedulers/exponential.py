"""A constant factor per update."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.schedulers.arguments import at_least, positive, rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Exponential"]


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
        settle(
            self,
            initial=rate("initial", self.initial),
            gamma=positive("gamma", self.gamma, most=1.0),
            every=at_least(1, "every", self.every),
        )

    def learning_rate(self, update: int) -> float:
        return float(self.initial * self.gamma ** (update / self.every))
