"""The refusals of names that are not there: of arguments, of attributes, of what a module has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from multilearn.errors import UnknownArgument, with_users_frames
from multilearn.foreign_words.words import ATTRIBUTES, CLASSES, INSTEAD, NAMES, OF_FUNCTIONS, WORDS

__all__ = ["Suggesting", "check_arguments", "missing_name", "refusing", "suggesting"]

P = ParamSpec("P")
R = TypeVar("R")


def missing_name(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise the `AttributeError` for a name that a module does not have, with the nearest one that it has."""
    near = NAMES.get(name, "").removeprefix(f"{module}.") or next(iter(get_close_matches(name, known, 1)), None)
    raise AttributeError(f"module {module!r} has no attribute {name!r}.{_meant(INSTEAD.get(name), near)}", name=name)


class Suggesting:
    """What a class inherits whose attributes people look for under other names."""

    if not TYPE_CHECKING:  # a type checker would take any name for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            kinds = type(self).__mro__
            words = next((found for kind in kinds if (found := ATTRIBUTES.get(kind.__name__, {}).get(name))), None)
            known = [each for each in dir(type(self)) if not each.startswith("_")]
            near = [] if name.startswith("_") else get_close_matches(name, known, 1)
            meant = _meant(words, next(iter(near), None))
            raise AttributeError(f"{kinds[0].__name__!r} object has no attribute {name!r}.{meant}", name=name)


def _meant(words: str | None, near: str | None) -> str:
    return f" In its place: {words}." if words else f" Did you mean {near}?" if near else ""


def suggesting(module: Mapping[str, Any]) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module, whose namespace is given when all public names are in it: for names that it does
    not have. Its classes raise `UnknownArgument` for arguments that they do not have, saying which one is meant."""
    for public in module["__all__"]:
        found = module[public]
        if inspect.isclass(found) and not getattr(found, "_is_protocol", False) and not issubclass(found, Exception):
            check_arguments(found)
    return lambda name: missing_name(module["__name__"], name, module["__all__"])


def check_arguments(kind: Any) -> None:
    """Have a class raise `UnknownArgument` for keyword arguments that it does not have, which says what to use."""
    made = kind.__init__
    if not inspect.isfunction(made) or "__init__" not in vars(kind):
        return
    known = inspect.signature(made).parameters
    by_position = [name for name, each in known.items() if each.kind is not each.KEYWORD_ONLY][1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return

    @functools.wraps(made)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs and not kwargs.keys() <= known.keys():
            raise _refusal(kind.__name__, [name for name in kwargs if name not in known], list(known), {})
        if "data" in by_position and (len(args) > len(by_position) or kwargs.keys() & by_position[: len(args)]):
            raise UnknownArgument(
                f"{kind.__name__} takes its data as one argument.",
                received=f"{len(args)} arguments without a name"
                + "".join(f", and {name}" for name in kwargs if name in by_position),
                remedy="Give all arrays as one tuple: multilearn.DataLoader((x, y), batch_size=64).",
            )
        made(self, *args, **kwargs)

    kind.__init__ = checked


def refusing(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function raise `UnknownArgument` for keyword arguments it does not have, which says what to use; and what
    it raises with the frames of users alone."""
    known = inspect.signature(function).parameters
    words = {**WORDS, **OF_FUNCTIONS.get(function.__name__, {})}

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= known.keys():
            raise _refusal(function.__name__, [name for name in kwargs if name not in known], list(known), words)
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            raise with_users_frames(error)  # noqa: B904

    return checked


def _refusal(function: str, unknown: list[str], known: list[str], words: Mapping[str, str]) -> UnknownArgument:
    own = [name for name in known if name != "self"]
    remedies = []
    for name in unknown:
        near = [each for each in CLASSES.get(name, "").split() if each in own] or get_close_matches(name, own, 1)
        meant = f"did you mean {near[0]}?" if near else "leave it out"
        remedies.append(f"{name}: {words.get(name, meant)}")
    remedy = f"In their place: {'; '.join(remedies)}." if len(unknown) > 1 else f"For {remedies[0]}."
    return UnknownArgument(
        f"{function} takes {', '.join(own) or 'no arguments'}.",
        received=", ".join(unknown),
        remedy=remedy.replace("?.", "?"),
    )
