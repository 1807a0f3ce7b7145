"""One seed for everything random: weights, dropout, the order of the data, Python's and numpy's global streams."""

from __future__ import annotations

import random

import numpy as np

from multilearn.arguments import as_whole, whole_in_environment
from multilearn.environment_variables import SEED as VARIABLE
from multilearn.errors import ConfigurationError
from multilearn.protocols import LaunchedRank

__all__ = ["VARIABLE", "current", "drawn_again", "origin", "set_seed"]

_LIMIT = 2**63

_current: int | None = None
_origin = "drawn"


def set_seed(n: int, deterministic: bool = False) -> None:
    """Make the experiment a function of `n` (0 <= n < 2**63) on every framework.

    Call it before the model is made: its weights are drawn there. It also seeds Python's and numpy's global
    generators, and has the framework multiply in full float32 (no TF32). The environment variable `MULTILEARN_SEED`
    wins over `n`. Called again, it restarts every stream.

    With `deterministic`, equal runs are equal bit for bit on GPUs too, where operations are slower then and some are
    refused by the framework; on CPUs they are without it. Call it before anything else of the framework then; for the
    rest of the process it stays so.

    Raises `ConfigurationError` for what is no such number, `BackendError` if the framework cannot be used, or not
    deterministically any more.
    """
    from multilearn import backend

    global _current, _origin
    asked, origin = _checked(n, "The seed"), "set_seed"
    if (forced := _from_environment()) is not None:
        if forced != asked:
            origin = f"{VARIABLE}, instead of the script's {asked}"
        asked = forced
    framework = backend.load()
    framework.settle(bool(deterministic))
    _current, _origin = asked, origin
    random.seed(asked)
    np.random.seed(asked & 0xFFFFFFFF)
    framework.seed(asked)


def current() -> int:
    """The seed in force. If none was set it is drawn now, from Python's global generator, and kept."""
    global _current, _origin
    if _current is None:
        forced = _from_environment()
        _current = _shared(random.getrandbits(31)) if forced is None else forced
        _origin = "drawn" if forced is None else VARIABLE
    return _current


def drawn_again() -> int:
    """The seed in force, drawn from where Python's global generator is now unless it was chosen."""
    global _current
    if _origin == "drawn":
        _current = None
    return current()


def origin() -> str:
    """Where the seed in force came from, for the log."""
    return _origin


def _shared(drawn: int) -> int:
    """The number that the first of the processes that train together has drawn."""
    if LaunchedRank.of_environment() is None:
        return drawn
    from multilearn import backend

    return int(backend.load().world.first_text(str(drawn)) or drawn)


def _from_environment() -> int | None:
    number = whole_in_environment(VARIABLE, 0, "Correct it or unset it.")
    return None if number is None else _checked(number, f"The environment variable {VARIABLE}")


def _checked(n: object, what: str) -> int:
    checked = as_whole(n)
    if checked is None or not 0 <= checked < _LIMIT:
        raise ConfigurationError(
            f"{what} must be a whole number from 0 to 2**63 - 1.",
            received=repr(n),
            remedy="For another seed every time, leave set_seed out: one is drawn and recorded.",
        )
    return checked
