"""The schedule of the first transformer."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.schedulers.arguments import at_least, positive, settle
from multilearn.schedulers.schedule import Pure

__all__ = ["Noam"]


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
        settle(
            self,
            model_size=at_least(1, "model_size", self.model_size, unit="features"),
            warmup=at_least(1, "warmup", self.warmup),
            factor=positive("factor", self.factor),
        )

    def learning_rate(self, update: int) -> float:
        step = update + 1
        return float(self.factor * self.model_size**-0.5 * min(step**-0.5, step * self.warmup**-1.5))
