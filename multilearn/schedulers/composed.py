"""Several schedules at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from multilearn.errors import ConfigurationError
from multilearn.protocols import LRScheduler
from multilearn.schedulers.arguments import settle
from multilearn.schedulers.composition import Composition, horizon_of, part, spanned

__all__ = ["Composed", "Reduction"]

Reduction = Literal["product", "sum", "mean"]


@dataclass(frozen=True, init=False, repr=False)
class Composed(Composition):
    """The product, the sum, or the arithmetic mean of several schedules, at every update.

    lr(i) = schedule_1(i) * schedule_2(i) * ...          reduction="product", the default
    lr(i) = schedule_1(i) + schedule_2(i) + ...          reduction="sum"
    lr(i) = (schedule_1(i) + schedule_2(i) + ...) / n    reduction="mean"

    (As burn's `ComposedLrScheduler`.) In a product, one schedule is a rate and the others are factors, such as
    `Cosine(1.0)`. Every schedule without a horizon spans the whole run. Numbers are constant schedules.

    >>> from multilearn.schedulers import Linear
    >>> Composed(Linear(1.0, updates=4), 0.5).learning_rate(1)
    0.375
    >>> Composed(Linear(1.0, updates=4), 0.5, reduction="mean").learning_rate(1)
    0.625
    """

    schedules: tuple[LRScheduler, ...]
    reduction: Reduction

    def __init__(self, *schedules: Any, reduction: Reduction = "product") -> None:
        if reduction not in get_args(Reduction):
            raise ConfigurationError(
                f"Schedules are composed by one of: {', '.join(get_args(Reduction))}.",
                received=f"reduction={reduction!r}",
                remedy="Leave it out for the product.",
            )
        if not schedules:
            raise ConfigurationError(
                "Composed consists of schedules, at least one.",
                received="none",
                remedy="Write Composed(Cosine(1.0), 1e-3).",
            )
        settle(self, schedules=tuple(part("Composed", each) for each in schedules), reduction=reduction)

    def __repr__(self) -> str:
        return f"Composed({', '.join(map(repr, self.schedules))}, reduction={self.reduction!r})"

    @property
    def parts(self) -> Sequence[LRScheduler]:
        return self.schedules

    @property
    def horizon(self) -> int | None:
        """The longest of its schedules; None while one of them has none."""
        known = [horizon for horizon in map(horizon_of, self.schedules) if horizon is not None]
        return max(known) if len(known) == len(self.schedules) else None

    def spanning(self, updates: int) -> Self:
        return type(self)(*(spanned(each, updates) for each in self.schedules), reduction=self.reduction)

    def learning_rate(self, update: int) -> float:
        rates = [each.learning_rate(update) for each in self.schedules]
        if self.reduction == "product":
            return math.prod(rates)
        return sum(rates) / (len(rates) if self.reduction == "mean" else 1)
