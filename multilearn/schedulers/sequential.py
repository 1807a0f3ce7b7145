"""One schedule after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from multilearn.errors import ConfigurationError
from multilearn.protocols import LRScheduler
from multilearn.schedulers.arguments import at_least, settle
from multilearn.schedulers.composition import Composition, horizon_of, part, spanned

__all__ = ["Sequential", "Stage"]

Stage = tuple[LRScheduler, int | None]
"""A schedule, and for how many optimizer updates; None for the rest of the run."""


@dataclass(frozen=True, init=False, repr=False)
class Sequential(Composition):
    """One schedule after the other, each for its number of optimizer updates: `Sequential((schedule, updates), ...)`.

    lr(i) = schedule_k(i - start_k), where start_k is the sum of the updates of those before the k-th

    (As torch's `SequentialLR` and optax's `join_schedules`: each one counts from its own beginning.)
    The last one goes on for as long as the run does; without a number, or with None for it, it spans what the others
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
        rest = horizon_of(last[0]) if last[1] is None else last[1]
        return None if rest is None else self._before_last + rest

    def spanning(self, updates: int) -> Self:
        """With a last schedule over what is left. Raises `ConfigurationError` if nothing is."""
        if self.horizon is not None:
            return self
        left = updates - self._before_last
        if left < 1:
            raise ConfigurationError(
                "The schedules before the last one must leave something of the run to it.",
                received=f"{self._before_last} updates before it, and a run of {updates}",
                remedy="Make them shorter, or give the last one its own horizon: updates=...",
            )
        last = (spanned(self.stages[-1][0], left), None)
        return type(self)(*self.stages[:-1], last)

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
    updates = at_least(1, "updates", pair[1])
    return spanned(schedule, updates), updates


def _malformed(received: str) -> ConfigurationError:
    return ConfigurationError(
        "Sequential consists of pairs (schedule, updates); only the last one may do without a number of updates.",
        received=received,
        remedy="Write Sequential((Linear(0.0, 1e-3), 100), (Cosine(1e-3), None)).",
    )
