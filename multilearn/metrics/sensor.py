"""Sensors: metrics of the machine, read now and then while a run goes on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from multilearn.protocols import UNAVAILABLE, Entry, Measured, Moment, State

__all__ = ["Sensor"]

_SECONDS = 1.0
"""A reading is good for so long: reading a sensor takes time that the training does not have."""


class Sensor(ABC):
    """Something to be read on this machine, at most once a second. The value of an epoch is the mean over its batches.

    `"unavailable"` where the machine has nothing to read, or the package that reads it is not installed; NaN as long as
    there is no reading yet.
    """

    numeric: ClassVar[bool] = True
    repeatable: ClassVar[bool] = False

    @abstractmethod
    def reader(self) -> Callable[[], float]:
        """A function that reads it. Whatever it, or this method, raises means that there is nothing to read."""

    def observer(self) -> Callable[[Moment], Measured]:
        try:
            read = self.reader()
        except Exception:
            return lambda moment: {"value": None}
        last: tuple[float, float | None] | None = None

        def observe(moment: Moment) -> Measured:
            nonlocal last
            if last is None or not 0 <= moment.clock - last[0] < _SECONDS:
                last = moment.clock, _value(read)
            return {"value": last[1]}

        return observe

    def merge(self, state: State | None, measured: Measured) -> State:
        value, sums = measured["value"], dict(state or {"total": 0.0, "readings": 0, "missing": 0})
        if value is None:
            sums["missing"] += 1
        elif not math.isnan(value):
            sums["total"] += value
            sums["readings"] += 1
        return sums

    def entry(self, state: State) -> Entry:
        if state["readings"]:
            return Entry(state["total"] / state["readings"])
        return Entry(UNAVAILABLE if state["missing"] else float("nan"))


def _value(read: Callable[[], float]) -> float | None:
    # what drivers raise is their own; a run does not end because a thermometer does
    try:
        return float(read())
    except Exception:
        return None
