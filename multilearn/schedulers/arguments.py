"""What schedules accept as rates, factors and numbers of updates; each check returns the plain Python value."""

from __future__ import annotations

import math
from typing import Any

from multilearn.errors import ConfigurationError
from multilearn.plain import real, whole

__all__ = ["at_least", "horizon", "not_above", "not_negative", "positive", "progress", "rate", "settle", "share"]


def settle(schedule: object, /, **values: Any) -> None:
    """Set fields of a frozen schedule, from its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(schedule, name, value)


def rate(name: str, value: Any) -> float:
    """A learning rate, as a float."""
    number = real(value)
    if not 0 <= number < math.inf:
        raise ConfigurationError(
            "A learning rate must be a finite number, 0 or more.",
            received=f"{name}={value!r}",
            remedy="Write for instance 1e-3.",
        )
    return number


def not_negative(name: str, value: Any) -> float:
    """A finite number that is 0 or more, as a float."""
    number = real(value)
    if not 0 <= number < math.inf:
        raise ConfigurationError(
            f"{name} of a schedule must be a finite number, 0 or more.",
            received=f"{name}={value!r}",
            remedy="Leave it out for 0.",
        )
    return number


def positive(name: str, value: Any, most: float = math.inf) -> float:
    """A finite number above 0 and at most `most`, as a float."""
    number = real(value)
    if not 0 < number <= most or math.isinf(number):
        limit = "" if math.isinf(most) else f" and at most {most:g}"
        raise ConfigurationError(
            f"{name} of a schedule must be a finite number above 0{limit}.",
            received=f"{name}={value!r}",
            remedy=f"Write for instance {name}=0.5.",
        )
    return number


def share(name: str, value: Any) -> float:
    """A number above 0 and below 1, as a float."""
    number = real(value)
    if not 0 < number < 1:
        raise ConfigurationError(
            f"{name} of a schedule must be a number between 0 and 1, neither of them included.",
            received=f"{name}={value!r}",
            remedy=f"Write for instance {name}=0.3.",
        )
    return number


def at_least(least: int, name: str, value: Any, unit: str = "optimizer updates") -> int:
    """A whole number, as an int."""
    if (number := whole(value)) is None or number < least:
        raise ConfigurationError(
            f"{name} of a schedule, in {unit}, must be a whole number of at least {least}.",
            received=f"{name}={value!r}",
            remedy=f"Write for instance {name}={max(least, 100)}.",
        )
    return number


def horizon(value: Any) -> int | None:
    """`updates` of a schedule that may be left to span the run."""
    if value is None:
        return None
    if (number := whole(value)) is None or number < 1:
        raise ConfigurationError(
            "The horizon of a schedule, in optimizer updates, must be a whole number of at least 1.",
            received=f"updates={value!r}",
            remedy="To span the whole run, leave it out.",
        )
    return number


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
