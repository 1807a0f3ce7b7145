"""Metrics of the loop: the learning rate, and the speed of iterations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from multilearn.protocols import UNAVAILABLE, Entry, Measured, Moment, State

__all__ = ["IterationSpeed", "LearningRate"]


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


@dataclass(frozen=True)
class IterationSpeed:
    """Batches per second, everything included: loading, the step, metrics, logging, and compiling in the first epoch.

    Over an epoch it is the number of its batches / the time they took. A batch has the mean speed of those whose values
    were fetched along with it.
    """

    name: ClassVar[str] = "IterationSpeed"
    unit: ClassVar[str] = "batches/s"
    numeric: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    def observer(self) -> Callable[[Moment], Measured]:
        return lambda moment: {"seconds": moment.seconds}

    def merge(self, state: State | None, measured: Measured) -> State:
        batches, seconds = (0, 0.0) if state is None else (state["batches"], state["seconds"])
        return {"batches": batches + 1, "seconds": seconds + float(measured["seconds"])}

    def entry(self, state: State) -> Entry:
        return Entry(state["batches"] / state["seconds"] if state["seconds"] > 0 else float("nan"))
