"""Stopping rules: no improvement, a threshold, a time limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from multilearn.arguments import as_real, not_negative, number, settle, whole
from multilearn.errors import ConfigurationError
from multilearn.history import Direction, History, Watcher

__all__ = ["NoImprovement", "StoppingRule", "Threshold", "TimeLimit", "Timed"]

_Waiting = tuple[int, float | None, int]
"""Epochs without improvement, the value of the last improvement, and its epoch."""


@runtime_checkable
class StoppingRule(Protocol):
    """Asked after every epoch, and after its validation if it has one."""

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        """Why training should end after `epoch`, or None to continue.

        `history` holds the exact values of epochs 1 to `epoch`, as far as they were measured; `elapsed` is the time
        spent in `fit`, in seconds, over all sessions of the run. It must depend on nothing else: so a resumed run
        decides as an uninterrupted one.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """What a stopping rule may offer: a rule without it is asked after epochs only, with the time spent."""

    @property
    def asks_for_time(self) -> bool:
        """Whether its reason depends on the time."""
        ...

    def time_limit(self) -> TimeLimit | None:
        """The time limit that is enough to stop the run, whatever else is watched: it is looked at inside epochs."""
        ...


class _ByMetric(Watcher):
    """A rule that knows no time."""

    @property
    def asks_for_time(self) -> bool:
        return False

    def time_limit(self) -> None:
        return None


@dataclass(frozen=True)
class NoImprovement(_ByMetric):
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
        super().__post_init__()
        delta = "It is what an improvement must be more than, in either direction."
        settle(
            self,
            epochs=whole("epochs of NoImprovement", self.epochs, 1, "To stop as soon as one is not better, write 1."),
            warmup=whole("warmup of NoImprovement", self.warmup, 0, "To have no warm-up, leave it out."),
            min_delta=not_negative("min_delta of NoImprovement", self.min_delta, delta),
        )

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        values, sign = self.monitor.values(history), self.monitor.sign

        def look(state: _Waiting, each: int, value: float) -> _Waiting:
            waited, best, at = state
            if not math.isnan(value) and (best is None or sign * value + self.min_delta < sign * best):
                return 0, value, each
            return waited + 1, best, at

        # the first epoch has nothing before it to improve on: it is not waited for, whatever its value
        none: _Waiting = (-1, None, 0)
        waited, best, at = values.fold((type(self), self.direction, self.min_delta), look, none, epoch)
        if waited < self.epochs or epoch <= self.warmup or epoch not in values:
            return None
        found = "none was a number" if best is None else f"the {self.direction} was {best:.6g} in epoch {at}"
        return f"no improvement of {self.metric} ({self.split}) in {waited} epoch{'s'[: waited > 1]}: {found}"


@dataclass(frozen=True)
class Threshold(_ByMetric):
    """Stop once the exact epoch value of a metric is as low, or as high, as `value`, which must be given.

    With `direction="lowest"` that is at most `value`, with `"highest"` at least. NaN reaches nothing. Shares are
    fractions: 0.98, and not 98 per cent.

    >>> past = History.from_state({"valid": {"Accuracy": [(1, 0.96), (2, 0.98)]}})
    >>> Threshold("Accuracy", direction="highest", value=0.98).reason(past, 2, 0.0)
    'Accuracy (valid) reached 0.98 in epoch 2, the threshold is 0.98'
    """

    metric: str = "Loss"
    split: str = "valid"
    direction: Direction = "lowest"
    value: float = math.nan

    def __post_init__(self) -> None:
        super().__post_init__()
        remedy = 'Write for instance Threshold("Accuracy", direction="highest", value=0.98).'
        settle(self, value=number("The value of a Threshold", self.value, math.isfinite, "a finite number", remedy))

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        values, sign = self.monitor.values(history), self.monitor.sign

        def first(reached: int | None, each: int, value: float) -> int | None:
            return each if reached is None and sign * value <= sign * self.value else reached

        reached = values.fold((type(self), self.direction, self.value), first, None, epoch)
        if reached is None:
            return None
        found = f"{self.metric} ({self.split}) reached {values[reached]:.6g} in epoch {reached}"
        return f"{found}, the threshold is {self.value:.6g}"


@dataclass(frozen=True)
class TimeLimit:
    """Stop when the run has taken this long, in `fit`, over all its sessions: hours, minutes and seconds add up.

    It may end a run in the middle of an epoch, where its place is saved if there is a checkpointer.

    >>> TimeLimit(hours=1, minutes=30).total
    5400.0
    >>> TimeLimit(minutes=1).reason(History(), 3, elapsed=61.5)
    'the time limit of 60 s is over: the run took 61.5 s'
    """

    seconds: float = 0.0
    minutes: float = 0.0
    hours: float = 0.0

    def __post_init__(self) -> None:
        parts = {name: as_real(getattr(self, name)) for name in ("seconds", "minutes", "hours")}
        if not all(0 <= part < math.inf for part in parts.values()) or not any(parts.values()):
            raise ConfigurationError(
                "A TimeLimit is a finite time of more than 0 seconds.",
                received=repr(self),
                remedy="Write for instance TimeLimit(hours=1, minutes=30).",
            )
        settle(self, **parts)

    @property
    def total(self) -> float:
        """The limit in seconds."""
        return self.seconds + 60 * self.minutes + 3600 * self.hours

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        if elapsed < self.total:
            return None
        return f"the time limit of {self.total:g} s is over: the run took {elapsed:.1f} s"

    @property
    def asks_for_time(self) -> bool:
        return True

    def time_limit(self) -> TimeLimit:
        return self
