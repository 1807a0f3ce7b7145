"""Metrics of the loop: learning rate and speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from multilearn.metrics.mean import summed
from multilearn.protocols import UNAVAILABLE, Entry, Measured, Moment, State

__all__ = ["IterationSpeed", "LearningRate", "SamplesPerSecond"]


@dataclass(frozen=True)
class LearningRate:
    """The rate that the scheduler gave for a batch; that of the last batch for the epoch.

    Its values are `"unavailable"` in validation, if nothing is learned.
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
        return summed(state, batches=1, seconds=float(measured["seconds"]))

    def entry(self, state: State) -> Entry:
        return Entry(state["batches"] / state["seconds"] if state["seconds"] > 0 else float("nan"))


@dataclass(frozen=True)
class SamplesPerSecond:
    """Items per second, everything included, as `IterationSpeed` has batches: also where batches differ in length.

    Over an epoch it is the number of its items / the time they took. `"unavailable"` if no array of a batch has a
    length.
    """

    name: ClassVar[str] = "SamplesPerSecond"
    unit: ClassVar[str] = "items/s"
    numeric: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    def observer(self) -> Callable[[Moment], Measured]:
        return lambda moment: {"items": moment.items, "seconds": moment.seconds}

    def merge(self, state: State | None, measured: Measured) -> State:
        known = measured["items"] is not None
        return summed(state, known=known, items=measured["items"] or 0, seconds=float(measured["seconds"]))

    def entry(self, state: State) -> Entry:
        if not state["known"]:
            return Entry(UNAVAILABLE)
        return Entry(state["items"] / state["seconds"] if state["seconds"] > 0 else float("nan"))
