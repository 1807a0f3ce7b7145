"""What public functions accept as arguments: each check returns the plain Python value.

It raises `ConfigurationError` for anything else. `what`: the name of the argument, with which the message begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from multilearn.environment_variables import read
from multilearn.errors import ConfigurationError
from multilearn.plain import real as as_real
from multilearn.plain import whole as as_whole

__all__ = [
    "as_real",
    "as_whole",
    "choice",
    "flag",
    "not_negative",
    "number",
    "optional_whole",
    "probability",
    "require",
    "settle",
    "shown",
    "whole",
    "whole_in_environment",
]


def settle(thing: object, /, **values: Any) -> None:
    """Set fields of a frozen dataclass, from its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(thing, name, value)


def shown(value: Any) -> str:
    """What was received, in a line: an array by its shape, anything long by its beginning.

    >>> shown([0] * 1000)
    'list: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...'
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= 300 else f"{type(value).__name__}: {text[:43]}..."


def whole(what: str, value: Any, least: int, remedy: str | None = None, *, received: str | None = None) -> int:
    """A whole number of at least `least`."""
    checked = as_whole(value)
    if checked is None or checked < least:
        raise ConfigurationError(
            f"{what} must be a whole number of at least {least}.",
            received=received or shown(value),
            remedy=remedy or f"Use {least} or more.",
        )
    return checked


def whole_in_environment(name: str, least: int, remedy: str) -> int | None:
    """The whole number that an environment variable is set to; None if it is not set."""
    text = read(name)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdecimal() else None
    return whole(f"The environment variable {name}", number, least, remedy, received=repr(text))


def optional_whole(what: str, value: Any) -> int | None:
    """A whole number, or None."""
    checked = as_whole(value)
    if checked is None and value is not None:
        raise ConfigurationError(
            f"{what} must be a whole number.", received=shown(value), remedy="Write for instance 3."
        )
    return checked


def number(
    what: str, value: Any, fits: Callable[[float], bool], kind: str, remedy: str, *, received: str | None = None
) -> float:
    """A number that `fits`; `kind` says which do, as in "a finite number, 0 or more". NaN must not fit."""
    checked = as_real(value)
    if not fits(checked):
        raise ConfigurationError(f"{what} must be {kind}.", received=received or shown(value), remedy=remedy)
    return checked


def not_negative(what: str, value: Any, remedy: str, *, received: str | None = None) -> float:
    """A finite number that is 0 or more."""
    kind = "a finite number, 0 or more"
    return number(what, value, lambda n: 0 <= n < math.inf, kind, remedy, received=received)


def probability(what: str, value: Any) -> float:
    """A number from 0 to 1."""
    kind = "a number from 0 to 1: it is compared with probabilities"
    return number(what, value, lambda n: 0 <= n <= 1, kind, "The default is 0.5.")


def flag(what: str, value: Any, remedy: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{what} is True or False.", received=shown(value), remedy=remedy)
    return value


def choice(rule: str, value: Any, allowed: Sequence[str], remedy: str | None = None) -> str:
    """One of the words that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigurationError(
            f"{rule}.", received=shown(value), remedy=remedy or f"Use one of: {', '.join(allowed)}."
        )
    return value


def require(thing: Any, kind: type, rule: str) -> None:
    """An object of that kind, or one that has the members of that protocol; its class is none."""
    if isinstance(thing, type) or not isinstance(thing, kind):
        hint = "Make an object of it, with parentheses." if isinstance(thing, type) else "See its documentation."
        if isinstance(thing, (list, tuple)):
            hint = "Give what is in it without the list."
        raise ConfigurationError(rule, received=shown(thing), remedy=hint)
