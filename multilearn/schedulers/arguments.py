"""What schedules accept as rates, factors and numbers of updates; each check returns the plain Python value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from multilearn.arguments import not_negative, number, settle, whole
from multilearn.errors import ConfigurationError

__all__ = [
    "at_least",
    "check",
    "duration",
    "epochs",
    "factor",
    "horizon",
    "not_above",
    "positive",
    "progress",
    "rate",
    "share",
]


def check(schedule: object, /, **checks: Callable[[str, Any], Any]) -> None:
    """Set each of these fields of a frozen dataclass to what its check, called with name and value, returns."""
    settle(schedule, **{name: checked(name, getattr(schedule, name)) for name, checked in checks.items()})


def rate(name: str, value: Any) -> float:
    """A learning rate, as a float."""
    return not_negative("A learning rate", value, "Write for instance 1e-3.", received=f"{name}={value!r}")


def positive(name: str, value: Any, most: float = math.inf) -> float:
    """A finite number above 0 and at most `most`, as a float."""
    kind = "a finite number above 0" + ("" if math.isinf(most) else f" and at most {most:g}")
    remedy = f"Write for instance {name}=0.5."
    return number(f"{name} of a schedule", value, lambda n: 0 < n <= most and n < math.inf, kind, remedy)


factor = partial(positive, most=1.0)
"""A number above 0 and at most 1, as a float."""


def share(name: str, value: Any) -> float:
    """A number above 0 and below 1, as a float."""
    kind, remedy = "a number between 0 and 1, neither of them included", f"Write for instance {name}=0.3."
    return number(f"{name} of a schedule", value, lambda n: 0 < n < 1, kind, remedy)


def at_least(least: int, unit: str) -> Callable[[str, Any], int]:
    """A check for whole numbers, as ints."""

    def checked(name: str, value: Any) -> int:
        remedy = f"Write for instance {name}={max(least, 100)}."
        return whole(f"{name} of a schedule, in {unit},", value, least, remedy)

    return checked


duration = at_least(1, "optimizer updates")
epochs = at_least(0, "epochs")


def horizon(name: str, value: Any) -> int | None:
    """A number of optimizer updates; None for a schedule that is to span the run."""
    if value is None:
        return None
    what, remedy = "The horizon of a schedule, in optimizer updates,", "To span the whole run, leave it out."
    return whole(what, value, 1, remedy, received=f"{name}={value!r}")


def not_above(low: str, lower: float, high: str, higher: float, remedy: str) -> None:
    """Raise unless `lower` is at most `higher`."""
    if lower > higher:
        raise ConfigurationError(
            f"This schedule falls: {low} must not be above {high}.",
            received=f"{high}={higher}, {low}={lower}",
            remedy=remedy,
        )


def progress(update: int, updates: int | None) -> float:
    """The share of the horizon that is done before `update`, at most 1."""
    if updates is None:
        raise ConfigurationError(
            "A schedule without a horizon has no rate yet.",
            received="updates=None",
            remedy="Give updates=..., or let the learner's fit span the run.",
        )
    return min(update / updates, 1.0)
