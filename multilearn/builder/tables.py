"""Objects of configuration as plain tables, `{"type": "KeepLast", "n": 2}`, and back.

Only dataclasses that a role lists are written and made: a table can name nothing else, and runs no code of anybody's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from os import PathLike, fspath
from types import ModuleType
from typing import Any

from multilearn import checkpoint, early_stopping, loggers, metrics, renderers
from multilearn.errors import ConfigurationError
from multilearn.plain import as_number, is_number

__all__ = [
    "LOGGERS",
    "METRICS",
    "RECORDERS",
    "RENDERERS",
    "RULES",
    "STRATEGIES",
    "Role",
    "nearest",
    "refuse_unknown",
    "table_of",
    "thing_of",
]

Role = Mapping[str, type]
"""The classes that may stand in one place, by name."""


def _role(module: ModuleType, *members: str) -> Role:
    """The public dataclasses of a module that have all these members."""
    found = {name: getattr(module, name) for name in module.__all__}
    return {
        name: each
        for name, each in found.items()
        if isinstance(each, type) and is_dataclass(each) and all(hasattr(each, member) for member in members)
    }


LOGGERS = _role(loggers, "log", "flush", "close")
METRICS = _role(metrics, "name", "merge", "entry")
RECORDERS = _role(checkpoint, "read", "write")
STRATEGIES = _role(checkpoint, "keep")
RENDERERS = _role(renderers, "host", "render", "close")
RULES = _role(early_stopping, "reason")


def table_of(thing: Any, role: Role) -> dict[str, Any]:
    """The table of an object of `role`. Raises `ConfigurationError` for what is not made of plain data."""
    kind = type(thing)
    if role.get(kind.__name__) is not kind:
        raise ConfigurationError(
            "Only what multilearn itself provides can be written as data.",
            received=repr(thing),
            remedy=f"Leave it out, and add it in Python. Known are: {', '.join(sorted(role))}.",
        )
    table: dict[str, Any] = {"type": kind.__name__}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if value is None and each.default is None:
            continue  # TOML has no null
        table[each.name] = _plain(value, role, f"{kind.__name__}({each.name}=...)")
    return table


def thing_of(table: Any, role: Role, where: str) -> Any:
    """The object that a table describes; the bare name of a class stands for its table without parameters.

    Raises `ConfigurationError` that begins with `where` for anything that does not fit, naming the nearest known name.
    """
    table = {"type": table} if isinstance(table, str) else table
    if not isinstance(table, Mapping) or not isinstance(table.get("type"), str):
        raise ConfigurationError(
            f"{where} must be a table with a type.", received=repr(table), remedy=f"Types: {', '.join(sorted(role))}."
        )
    name = table["type"]
    if name not in role:
        raise ConfigurationError(f"{where} has an unknown type.", received=repr(name), remedy=nearest(name, role))
    kind = role[name]
    known = {each.name: each for each in fields(kind)}
    refuse_unknown((key for key in table if key != "type"), known, f"{where} ({name})")
    values = {key: _back(value, role, f"{where}.{key}") for key, value in table.items() if key != "type"}
    try:
        if kind.__dataclass_params__.init:  # type: ignore[attr-defined]  # no stub tells of it
            return kind(**values)
        # one that takes several of its kind, such as AnyOf
        several = (each for value in values.values() for each in (value if isinstance(value, tuple) else [value]))
        return kind(*(thing_of(each, role, where) if isinstance(each, str) else each for each in several))
    except (ConfigurationError, TypeError) as error:
        raise ConfigurationError(f"{where} ({name}): {error}") from error


def refuse_unknown(keys: Iterable[str], known: Iterable[str], where: str, what: str = "key") -> None:
    """Raise `ConfigurationError`, with the nearest known name, for the first of `keys` that is not known."""
    known = list(known)
    for key in keys:
        if key not in known:
            raise ConfigurationError(
                f"{where} has an unknown {what}.", received=repr(key), remedy=nearest(str(key), known)
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name.

    >>> nearest("num_epoch", ["num_epochs", "summary"])
    "Did you mean 'num_epochs'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(known) or 'none'}."


def _plain(value: Any, role: Role, what: str) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, PathLike):
        return fspath(value)
    if is_number(number := as_number(value)):
        return number
    if isinstance(value, (list, tuple)):
        return [_plain(each, role, what) for each in value]
    if is_dataclass(value) or callable(getattr(value, "keep", None)) or callable(getattr(value, "reason", None)):
        return table_of(value, role)
    raise ConfigurationError(
        "Only numbers, text, lists and what multilearn itself provides can be written as data.",
        received=f"{what} with {value!r}",
        remedy="Leave it out, and add it in Python.",
    )


def _back(value: Any, role: Role, where: str) -> Any:
    if isinstance(value, Mapping):
        return thing_of(value, role, where)
    if isinstance(value, list):
        return tuple(_back(each, role, f"{where}[{number}]") for number, each in enumerate(value))
    return value
