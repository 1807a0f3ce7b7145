"""The learning rates of a task whose models are trained in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from multilearn.protocols import LRScheduler
from multilearn.schedulers.composition import Composition, horizon_of, spanned

__all__ = ["PerTurn", "TurnRates", "rate_or_rates"]


class TurnRates(float):
    """The rates of one update, `by_turn`; as a number it is that of the first turn."""

    by_turn: Mapping[str, float]

    def __new__(cls, by_turn: Mapping[str, float]) -> Self:
        made = super().__new__(cls, next(iter(by_turn.values())))
        made.by_turn = by_turn
        return made


@dataclass(frozen=True)
class PerTurn(Composition):
    """A schedule for each turn: all are functions of one count, that of the updates of the run.

    A turn that is taken several times for a batch, or not for each, has the rate of that batch.
    """

    turns: tuple[tuple[str, LRScheduler], ...]

    @property
    def parts(self) -> Sequence[LRScheduler]:
        return [schedule for _, schedule in self.turns]

    @property
    def horizon(self) -> int | None:
        """The longest of its schedules; None while one of them has none."""
        known = [horizon for horizon in map(horizon_of, self.parts) if horizon is not None]
        return max(known) if len(known) == len(self.turns) else None

    def spanning(self, updates: int) -> Self:
        return type(self)(tuple((turn, spanned(each, updates)) for turn, each in self.turns))

    def learning_rate(self, update: int) -> TurnRates:
        return TurnRates({turn: float(each.learning_rate(update)) for turn, each in self.turns})


def rate_or_rates(rate: float) -> float:
    """What a schedule says, such as a number of numpy's, as a float, which has the rates of turns if there are any."""
    return rate if isinstance(rate, TurnRates) else float(rate)
