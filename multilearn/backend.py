"""Which framework this process trains on, and how it is found: one process, one framework."""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from multilearn.environment_variables import BACKEND as VARIABLE
from multilearn.environment_variables import read
from multilearn.errors import BackendError, pip_install

# `import multilearn` runs this module: what only a refusal or a training needs is imported there
if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from multilearn.protocols import Backend

__all__ = [
    "GROUP",
    "KERAS_VARIABLE",
    "ON_KERAS",
    "VARIABLE",
    "Choice",
    "announce",
    "check_name",
    "choice",
    "chosen",
    "environment",
    "installed",
    "known",
    "load",
    "usable",
]

GROUP = "multilearn.backends"
KERAS_VARIABLE = "KERAS_BACKEND"
ON_KERAS = ("torch", "tensorflow", "jax")
"""The frameworks that Keras runs on, in the order in which they are preferred."""

_announced: str | None = None  # what `announce` wrote into KERAS_BACKEND, which was not set before


class Choice(NamedTuple):
    """The framework that would be used, and why; `name` is None if there is none."""

    name: str | None
    reason: str


def choice() -> Choice:
    """`MULTILEARN_BACKEND`; else what Keras was loaded on; else `KERAS_BACKEND`; else the first installed.

    Imports nothing.
    """
    if name := read(VARIABLE):
        return Choice(name, f"the environment variable {VARIABLE}")
    if name := _keras_runs_on():
        return Choice(name, "Keras was loaded on it")
    if (name := read(KERAS_VARIABLE)) and name != _announced:
        return Choice(name, f"the environment variable {KERAS_VARIABLE}")
    return Choice(_first_installed(), f"the first installed of {', '.join(ON_KERAS)}")


def chosen() -> str | None:
    """The name of the framework that would be used. Imports nothing and does not judge whether it can be."""
    return choice().name


def environment(name: str) -> dict[str, str]:
    """For a process of its own: this one's environment, in which every way of choosing a backend says `name`."""
    return {**os.environ, VARIABLE: name, KERAS_VARIABLE: name}


def known() -> tuple[str, ...]:
    """The backends that are registered in the entry-point group `multilearn.backends`, the preferred ones first."""
    names = _entry_points()
    return tuple(sorted(names, key=lambda name: (ON_KERAS.index(name) if name in ON_KERAS else len(ON_KERAS), name)))


def installed(name: str) -> bool:
    """Whether the framework of a known backend is installed. Imports nothing."""
    return _has_module(name) and _has_module("keras") if name in ON_KERAS else name in known()


def check_name(name: str) -> None:
    """Raise `BackendError`, with the remedy, unless `name` is a known backend whose framework is installed."""
    if name not in known():
        import difflib

        near = difflib.get_close_matches(name.lower(), known(), n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise BackendError(
            f"A backend must be one of {', '.join(known())}.",
            received=repr(name),
            remedy=f"{hint}It is chosen by {VARIABLE}, or by {KERAS_VARIABLE}.",
        )
    if not installed(name):
        raise BackendError(
            f"The backend {name!r} needs {name} and keras, and they are not both installed.",
            received=f"{name} by {choice().reason}" if chosen() == name else name,
            remedy=f"Install them with: {pip_install(name)}{_or_use_another()}",
        )


def load(name: str | None = None) -> Backend:
    """The backend called `name`, or the chosen one. Imports its framework. Raises what `usable` raises."""
    return _loaded(usable(name))


def usable(name: str | None = None) -> str:
    """The name of the backend that `load` would load. Imports nothing.

    Raises `BackendError` if it is unknown, not installed, or contradicts what this process already runs on.
    """
    decided = choice() if name is None else Choice(name, "asked for by name")
    if decided.name is None:
        raise BackendError(
            "multilearn trains on a framework, and none is installed.",
            received=f"none of {', '.join(ON_KERAS)} together with keras",
            remedy=f"Install one, for instance with: {pip_install('torch')}",
        )
    check_name(decided.name)
    if decided.name in ON_KERAS:
        _check_keras(decided.name)
    return decided.name


def announce() -> None:
    """Choose the framework of Keras, if it is not loaded yet and KERAS_BACKEND is not set. Never raises.

    If the one asked for cannot be had Keras gets another, so that the refusal with the remedy comes from us.
    """
    if "keras" in sys.modules or read(KERAS_VARIABLE):
        return
    global _announced
    name = chosen()
    _announced = name if name in ON_KERAS and _has_module(name) else _first_installed()
    if _announced:
        os.environ[KERAS_VARIABLE] = _announced


def _check_keras(name: str) -> None:
    requested, runs_on = read(KERAS_VARIABLE), _keras_runs_on()
    if runs_on and runs_on != name:
        raise BackendError(
            f"Keras is already loaded on {runs_on}, and one process has one framework.",
            received=f"{name} by {choice().reason}",
            remedy=f"Import multilearn before keras, or set {KERAS_VARIABLE}={name} too.",
        )
    if requested and requested not in (name, _announced):
        raise BackendError(
            f"The environment variables {VARIABLE} and {KERAS_VARIABLE} must agree.",
            received=f"{f'{VARIABLE}={name}' if read(VARIABLE) == name else name} and {KERAS_VARIABLE}={requested}",
            remedy=f"Unset {KERAS_VARIABLE}, or set it to {name} too.",
        )
    os.environ[KERAS_VARIABLE] = name


def _or_use_another() -> str:
    others = [other for other in known() if installed(other)]
    return f", or use what is installed: {VARIABLE}={others[0]}" if others else ""


def _keras_runs_on() -> str | None:
    ask = getattr(getattr(sys.modules.get("keras"), "config", None), "backend", None)
    return None if ask is None else str(ask())


def _first_installed() -> str | None:
    return next((name for name in ON_KERAS if _has_module(name)), None) if _has_module("keras") else None


def _has_module(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    # a folder of that name somewhere on the path is no framework
    return spec is not None and spec.origin is not None


@lru_cache(maxsize=1)
def _entry_points() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def _loaded(name: str) -> Backend:
    loaded: Backend = _entry_points()[name].load()()
    return loaded
