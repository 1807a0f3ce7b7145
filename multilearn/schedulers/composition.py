"""Schedules that consist of others: one after the other, and products."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, Self, get_args

from multilearn.arguments import as_real, choice, settle
from multilearn.errors import ConfigurationError
from multilearn.history import History, Monitor, watched_by
from multilearn.protocols import LRScheduler, Record
from multilearn.schedulers.arguments import duration
from multilearn.schedulers.decays import Constant
from multilearn.schedulers.schedule import Observing, Spanning

__all__ = ["Composed", "Composition", "Reduction", "Sequential", "Stage", "horizon_of", "part", "rest", "spanned"]


class Composition(ABC):
    """Passes on to its parts what they observe, and saves what they have to remember."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[LRScheduler]:
        """The schedules that it consists of."""

    def observe(self, epoch: int, history: History) -> None:
        for each in self.parts:
            if isinstance(each, Observing):
                each.observe(epoch, history)

    def watched(self) -> Iterator[Monitor]:
        return chain.from_iterable(map(watched_by, self.parts))

    def state(self) -> Record:
        states = {str(index): each.state() for index, each in enumerate(self.parts)}
        kept = {index: state for index, state in states.items() if state}
        return {"parts": kept} if kept else {}

    def restore(self, state: Record) -> None:
        # a record of another schedule may know of parts that this one does not have, and the other way round
        states: Mapping[str, Record] = state.get("parts", {})
        for index, each in enumerate(self.parts):
            if str(index) in states:
                each.restore(states[str(index)])


def part(owner: str, schedule: Any) -> LRScheduler:
    """A schedule as a part of another one; a number is a constant rate."""
    if not math.isnan(rate := as_real(schedule)):
        return Constant(rate)
    if isinstance(schedule, LRScheduler) and not isinstance(schedule, type):
        return schedule
    of_keras = type(schedule).__module__.partition(".")[0] == "keras" or hasattr(schedule, "get_config")
    wrapped = "Wrap one of Keras: multilearn_keras.KerasSchedule(schedule)."
    raise ConfigurationError(
        f"{owner} consists of schedules, or numbers for constant rates.",
        received=repr(schedule),
        remedy=wrapped if of_keras else "Give them one by one, with parentheses, such as Cosine(1e-3).",
    )


def horizon_of(schedule: LRScheduler) -> int | None:
    """The horizon of any schedule: 0 for one that needs none."""
    return schedule.horizon if isinstance(schedule, Spanning) else 0


def spanned(schedule: LRScheduler, updates: int) -> LRScheduler:
    """A schedule over `updates` optimizer updates, if it has no horizon."""
    if isinstance(schedule, Spanning) and schedule.horizon is None:
        return schedule.spanning(updates)
    return schedule


def rest(updates: int, before: int) -> int:
    """What `before` updates leave of a run. Raises `ConfigurationError` if that is nothing."""
    if updates <= before:
        raise ConfigurationError(
            "What comes before the last schedule must leave updates of the run to it.",
            received=f"{before} updates before it, and a run of {updates}",
            remedy="Make that shorter, or give the last one its own horizon: updates=...",
        )
    return updates - before


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
        choice("Schedules are composed by a reduction", reduction, get_args(Reduction))
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


Stage = tuple[LRScheduler, int | None]
"""A schedule, and for how many optimizer updates; None for the rest of the run."""


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Composition):
    """One schedule after the other, each for its number of optimizer updates: `Sequential((schedule, updates), ...)`.

    lr(i) = schedule_k(i - start_k), where start_k is the sum of the updates of those before the k-th

    (As torch's `SequentialLR` and optax's `join_schedules`: each one counts from its own beginning.)
    The last one lasts as long as the run does; without a number, or with None for it, it spans what the others
    leave of the run. A schedule without a horizon gets the updates of its place. Numbers are constant rates.

    >>> from multilearn.schedulers import Linear
    >>> stages = Sequential((0.5, 2), (Linear(1.0), 4), (0.125, None))
    >>> [stages.learning_rate(i) for i in range(8)]
    [0.5, 0.5, 1.0, 0.75, 0.5, 0.25, 0.125, 0.125]
    """

    stages: tuple[Stage, ...]

    def __init__(self, *stages: tuple[Any, int | None] | Any) -> None:
        if not stages:
            raise _malformed("nothing")
        checked = [_stage(each, index == len(stages) - 1) for index, each in enumerate(stages)]
        settle(self, stages=tuple(checked))

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.stages))})"

    @property
    def parts(self) -> Sequence[LRScheduler]:
        return [schedule for schedule, _ in self.stages]

    @property
    def horizon(self) -> int | None:
        """All its updates; None while the last one has neither a number of updates nor a horizon."""
        last = self.stages[-1]
        horizon = horizon_of(last[0]) if last[1] is None else last[1]
        return None if horizon is None else self._before_last + horizon

    def spanning(self, updates: int) -> Self:
        """With a last schedule over what is left. Raises `ConfigurationError` if nothing is."""
        if self.horizon is not None:
            return self
        last = spanned(self.stages[-1][0], rest(updates, self._before_last))
        return type(self)(*self.stages[:-1], (last, None))

    def learning_rate(self, update: int) -> float:
        *before, (last, _) = self.stages
        for schedule, updates in before:
            if updates is not None:
                if update < updates:
                    return schedule.learning_rate(update)
                update -= updates
        return last.learning_rate(update)

    @property
    def _before_last(self) -> int:
        return sum(updates for _, updates in self.stages[:-1] if updates is not None)


def _stage(stage: Any, last: bool) -> Stage:
    pair = stage if isinstance(stage, (tuple, list)) else (stage, None)
    if len(pair) != 2 or (pair[1] is None and not last):
        raise _malformed(repr(stage))
    schedule = part("Sequential", pair[0])
    if pair[1] is None:
        return schedule, None
    updates = duration("updates", pair[1])
    return spanned(schedule, updates), updates


def _malformed(received: str) -> ConfigurationError:
    return ConfigurationError(
        "Sequential consists of pairs (schedule, updates); only the last one may do without a number of updates.",
        received=received,
        remedy="Write Sequential((Linear(0.0, 1e-3), 100), (Cosine(1e-3), None)).",
    )
