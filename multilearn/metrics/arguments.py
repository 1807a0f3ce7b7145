"""What metrics take as arguments, checked where they are made."""

from __future__ import annotations

import math
from typing import Any

from multilearn import plain
from multilearn.errors import ConfigurationError

__all__ = ["choice", "index", "share", "whole"]


def choice(rule: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of the words that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(f"{rule}.", received=repr(value), remedy=f"Use one of: {', '.join(allowed)}.")
    return value


def share(rule: str, value: Any) -> float:
    """A number from 0 to 1."""
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ConfigurationError(
            f"{rule} must be a number from 0 to 1: it is compared with probabilities.",
            received=repr(value),
            remedy="The default is 0.5.",
        )
    return number


def whole(rule: str, value: Any, least: int) -> int:
    """A whole number that is not too small."""
    number = index(rule, value)
    if number is None or number < least:
        raise ConfigurationError(
            f"{rule} must be a whole number of at least {least}.", received=repr(value), remedy=f"Use {least} or more."
        )
    return number


def index(rule: str, value: Any) -> int | None:
    """A whole number, or None."""
    if value is None:
        return None
    if (number := plain.whole(value)) is None:
        raise ConfigurationError(
            f"{rule} must be a whole number.", received=repr(value), remedy="Write for instance 3."
        )
    return number


def _number(value: Any) -> float | None:
    try:
        number = None if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        return None
    return None if number is None or math.isnan(number) else number
