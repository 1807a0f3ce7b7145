"""Stop where the training does not get better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsIndex

from multilearn.errors import ConfigurationError
from multilearn.history import Direction, History, Monitor
from multilearn.plain import real, whole

__all__ = ["NoImprovement"]

_Waiting = tuple[int, float | None, int]
"""Epochs without improvement, the value of the last improvement, and its epoch."""


@dataclass(frozen=True)
class NoImprovement:
    """Stop when `epochs` epochs in a row brought no improvement of the exact epoch value of a metric.

    The first value that is a number is an improvement, and after it every value that is lower (or higher, as
    `direction` says) than that of the last improvement by more than `min_delta`; an equal one is none, and NaN never
    is. The very first epoch has nothing to improve on: it is not counted as one without, even where it is NaN.
    No run is stopped in its first `warmup` epochs, but they are looked at: what was best in them has to be beaten, and
    a run without improvement since then stops in the first epoch after them. An epoch in which the metric has no value
    counts neither way.

    So counts burn-train (`NoImprovementSince`), and Keras' `EarlyStopping` with `patience=epochs`, with two
    differences: Keras forgets the epochs up to its `start_from_epoch` and begins to wait after them, and for it
    a NaN in the first epoch is a best value that no other beats.

    >>> past = History.from_state({"valid": {"Loss": [(1, 0.5), (2, 0.3), (3, 0.3), (4, 0.4)]}})
    >>> NoImprovement(epochs=2).reason(past, 3, 0.0)
    >>> NoImprovement(epochs=2).reason(past, 4, 0.0)
    'no improvement of Loss (valid) in 2 epochs: the lowest was 0.3 in epoch 2'
    """

    metric: str = "Loss"
    split: str = "valid"
    direction: Direction = "lowest"
    epochs: int = 3
    min_delta: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", str(Monitor(self.metric, self.split, self.direction).split))
        epochs = _count("epochs", self.epochs, 1, "To stop as soon as one epoch is not better, write epochs=1.")
        object.__setattr__(self, "epochs", epochs)
        object.__setattr__(self, "warmup", _count("warmup", self.warmup, 0, "To have no warm-up, leave it out."))
        min_delta = real(self.min_delta)
        if not 0 <= min_delta < math.inf:
            raise ConfigurationError(
                "min_delta of NoImprovement must be a finite number, 0 or more.",
                received=repr(self.min_delta),
                remedy="It is what an improvement must be more than, in either direction.",
            )
        object.__setattr__(self, "min_delta", min_delta)

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        values = history.values(self.split, self.metric)

        def look(state: _Waiting, each: int, value: float) -> _Waiting:
            waited, best, at = state
            if not math.isnan(value) and (best is None or self._improves(value, best)):
                return 0, value, each
            return waited + 1, best, at

        # the first epoch has nothing before it to improve on: it is not waited for, whatever its value
        none: _Waiting = (-1, None, 0)
        waited, best, at = values.fold((type(self), self.direction, self.min_delta), look, none, epoch)
        if waited < self.epochs or epoch <= self.warmup or epoch not in values:
            return None
        found = "none was a number" if best is None else f"the {self.direction} was {best:.6g} in epoch {at}"
        return f"no improvement of {self.metric} ({self.split}) in {waited} epoch{'s'[: waited > 1]}: {found}"

    def _improves(self, value: float, best: float) -> bool:
        return value + self.min_delta < best if self.direction == "lowest" else value - self.min_delta > best


def _count(name: str, number: SupportsIndex, least: int, remedy: str) -> int:
    """`number` as a plain int of at least `least`."""
    if (count := whole(number)) is None or count < least:
        raise ConfigurationError(
            f"{name} of NoImprovement must be a whole number of at least {least}.",
            received=repr(number),
            remedy=remedy,
        )
    return count
