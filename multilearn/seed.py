"""One seed for everything random: weights, dropout, the order of the data, Python's and numpy's global streams."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from multilearn.errors import ConfigurationError

__all__ = ["VARIABLE", "current", "origin", "restore_streams", "set_seed", "streams"]

VARIABLE = "MULTILEARN_SEED"
_LIMIT = 2**63

_current: int | None = None
_origin = "drawn"


def set_seed(n: int) -> None:
    """Make the experiment a function of `n` (0 <= n < 2**63) on every framework.

    Call it before the model is made: its weights are drawn there. It also seeds Python's and numpy's global
    generators. The environment variable `MULTILEARN_SEED` wins over `n`. Called again, it starts every stream anew.

    Raises `ConfigurationError` for what is no such number, `BackendError` if the framework cannot be used.
    """
    from multilearn import backend

    global _current, _origin
    asked, _origin = _checked(n, "The seed"), "set_seed"
    if (forced := _from_environment()) is not None:
        if forced != asked:
            _origin = f"{VARIABLE}, instead of the script's {asked}"
        asked = forced
    framework = backend.load()
    _current = asked
    random.seed(asked)
    np.random.seed(asked & 0xFFFFFFFF)
    framework.seed(asked)


def current() -> int:
    """The seed in force. Where none was set it is drawn now, from Python's global generator, and kept."""
    global _current, _origin
    if _current is None:
        forced = _from_environment()
        _current = random.getrandbits(31) if forced is None else forced
        _origin = "drawn" if forced is None else VARIABLE
    return _current


def origin() -> str:
    """Where the seed in force came from, for the log."""
    return _origin


def streams() -> dict[str, Any]:
    """The state of Python's and numpy's global generators, as plain data for a record."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": {"version": version, "state": list(internal), "gauss": gauss},
        "numpy": {
            "name": str(name),
            "state": [int(key) for key in keys],
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(cached),
        },
    }


def restore_streams(state: Mapping[str, Any]) -> None:
    """Go on from what `streams` returned."""
    of_python, of_numpy = state["python"], state["numpy"]
    random.setstate((of_python["version"], tuple(of_python["state"]), of_python["gauss"]))
    keys = np.asarray(of_numpy["state"], np.uint32)
    np.random.set_state((of_numpy["name"], keys, of_numpy["position"], of_numpy["has_gauss"], of_numpy["gauss"]))


def _from_environment() -> int | None:
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal():
        raise ConfigurationError(
            f"The environment variable {VARIABLE} must be a whole number, 0 or more.",
            received=repr(text),
            remedy="Correct it or unset it.",
        )
    return _checked(int(text), f"The environment variable {VARIABLE}")


def _checked(n: object, what: str) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 <= n < _LIMIT:
        raise ConfigurationError(
            f"{what} must be a whole number from 0 to 2**63 - 1.",
            received=repr(n),
            remedy="For another seed every time, leave set_seed out: one is drawn and recorded.",
        )
    return int(n)
