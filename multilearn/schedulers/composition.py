"""What schedules that consist of others have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from multilearn.errors import ConfigurationError
from multilearn.history import History
from multilearn.plain import real
from multilearn.protocols import LRScheduler, Record
from multilearn.schedulers.constant import Constant
from multilearn.schedulers.schedule import Observing, Spanning

__all__ = ["Composition", "horizon_of", "part", "spanned"]


class Composition(ABC):
    """Passes on what its parts are to be told, and keeps what they have to remember."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[LRScheduler]:
        """The schedules that it consists of."""

    def observe(self, epoch: int, history: History) -> None:
        for each in self.parts:
            if isinstance(each, Observing):
                each.observe(epoch, history)

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
    if not math.isnan(number := real(schedule)):
        return Constant(number)
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
    """A schedule over `updates` optimizer updates, if it has no horizon of its own."""
    if isinstance(schedule, Spanning) and schedule.horizon is None:
        return schedule.spanning(updates)
    return schedule
