"""The learning rate as a metric: logged and plotted like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from multilearn.protocols import UNAVAILABLE, Entry, Measured, Moment, State

__all__ = ["LearningRate"]


@dataclass(frozen=True)
class LearningRate:
    """The rate that the scheduler gave for a batch; that of the last batch for the epoch.

    Its values are `"unavailable"` in validation, where nothing is learned.
    """

    name: ClassVar[str] = "LearningRate"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def observer(self) -> Callable[[Moment], Measured]:
        return lambda moment: {"rate": moment.learning_rate}

    def merge(self, state: State | None, measured: Measured) -> State:
        return dict(measured)

    def entry(self, state: State) -> Entry:
        return Entry(UNAVAILABLE if state["rate"] is None else float(state["rate"]))
