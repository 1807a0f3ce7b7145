"""What schedules accept as rates, factors and numbers of updates; each check returns the plain Python value."""

from __future__ import annotations

import math
from typing import Any

from multilearn.arguments import not_negative, number, whole
from multilearn.errors import ConfigurationError

__all__ = ["at_least", "horizon", "not_above", "positive", "progress", "rate", "share"]


def rate(name: str, value: Any) -> float:
    """A learning rate, as a float."""
    return not_negative("A learning rate", value, "Write for instance 1e-3.", received=f"{name}={value!r}")


def positive(name: str, value: Any, most: float = math.inf) -> float:
    """A finite number above 0 and at most `most`, as a float."""
    kind = "a finite number above 0" + ("" if math.isinf(most) else f" and at most {most:g}")
    remedy = f"Write for instance {name}=0.5."
    return number(f"{name} of a schedule", value, lambda n: 0 < n <= most and n < math.inf, kind, remedy)


def share(name: str, value: Any) -> float:
    """A number above 0 and below 1, as a float."""
    kind, remedy = "a number between 0 and 1, neither of them included", f"Write for instance {name}=0.3."
    return number(f"{name} of a schedule", value, lambda n: 0 < n < 1, kind, remedy)


def at_least(least: int, name: str, value: Any, unit: str = "optimizer updates") -> int:
    """A whole number, as an int."""
    remedy = f"Write for instance {name}={max(least, 100)}."
    return whole(f"{name} of a schedule, in {unit},", value, least, remedy)


def horizon(value: Any) -> int | None:
    """`updates` of a schedule that may be left to span the run."""
    if value is None:
        return None
    what, remedy = "The horizon of a schedule, in optimizer updates,", "To span the whole run, leave it out."
    return whole(what, value, 1, remedy, received=f"updates={value!r}")


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
