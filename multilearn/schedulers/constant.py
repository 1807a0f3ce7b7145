"""One rate for the whole run."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.schedulers.arguments import rate, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Constant"]


@dataclass(frozen=True)
class Constant(Pure):
    """The same rate at every update.

    lr(i) = rate

    >>> Constant(0.1).learning_rate(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        settle(self, rate=rate("rate", self.rate))

    def learning_rate(self, update: int) -> float:
        return self.rate
