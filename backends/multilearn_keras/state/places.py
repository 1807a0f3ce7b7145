"""All attributes and entries of what a task holds, by their paths, and which of them a step reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn_keras.state.holders import is_helper

__all__ = [
    "MISSING",
    "Path",
    "Place",
    "Places",
    "Readings",
    "alike",
    "contents",
    "is_entered",
    "is_own",
    "names_of_keras",
    "places",
]

_OTHERS = frozenset({"keras", "keras_hub", "multilearn", "multilearn_keras", "tensorflow", "torch", "jax"})
_STORES = frozenset({"_buffers", "_layers", "_modules", "_parameters"})
_LARGEST = 1000
_LEAVES = (keras.Variable, keras.random.SeedGenerator)
_STORED = frozenset((name,) for name in _STORES)
MISSING = object()

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """`store[name]`: an entry of a container, or of the `__dict__` of an object. `called`: in words."""

    store: Any
    name: Any
    called: str
    value: Any

    def put(self, value: Any) -> None:
        if value is not MISSING:
            self.store[self.name] = value
        elif isinstance(self.store, dict):
            del self.store[self.name]


Places = dict[Path, Place]


def places(task: Any) -> Iterator[tuple[Path, Place]]:
    """All attributes and entries, by their paths."""
    seen: dict[int, Any] = {}

    def through(thing: Any, path: Path, called: str, own: bool) -> Iterator[tuple[Path, Place]]:
        if id(thing) in seen:
            return
        seen[id(thing)] = thing
        if isinstance(thing, (dict, list, tuple, deque)):
            if len(thing) > _LARGEST:
                return
            store, entries = thing, list(thing.items() if isinstance(thing, dict) else enumerate(thing))
        else:
            own, called = is_own(thing), type(thing).__name__
            store = getattr(thing, "__dict__", {})
            entries = [(name, value) for name, value in store.items() if name not in names_of_keras(thing)]
        of_object = store is not thing or path[-1:] in _STORED
        for name, value in entries:
            said = called if (name,) in _STORED else f"{called}.{name}" if of_object else f"{called}[{name!r}]"
            if own and not isinstance(store, tuple):
                yield (*path, name), Place(store, name, said, value)
            if is_entered(value):
                yield from through(value, (*path, name), said, own)

    yield from through(task, (), "", False)


def is_entered(value: Any) -> bool:
    """Whether what it holds is looked at: of containers, layers and plain objects."""
    if isinstance(value, (dict, list, tuple, deque, keras.layers.Layer)):
        return True
    return is_helper(value) and not (ops.is_tensor(value) or isinstance(value, _LEAVES))


def is_own(thing: Any) -> bool:
    """Whether its class is the user's."""
    return type(thing).__module__.partition(".")[0] not in _OTHERS


def names_of_keras(thing: Any) -> frozenset[str]:
    """The attributes that Keras keeps on every layer, if it is one."""
    return _kept_by_every_layer() if isinstance(thing, keras.layers.Layer) else frozenset()


@cache
def _kept_by_every_layer() -> frozenset[str]:
    return frozenset({*vars(keras.layers.Layer()), *vars(keras.Model())}) - _STORES


_LARGEST_ARRAY = 1 << 16
# CPython's flag of classes whose attributes cannot be set
_IMMUTABLE = 1 << 8
_PLAIN = (bool, int, float, str, type(None))
# Keras' own, of models, and what modules of torch switch for every call
_SWITCHED = frozenset({"_compile_loss", "_compile_metrics", "_loss_tracker", "optimizer", "training"})


class Readings:
    """What the steps of a task read while they were watched."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._read: dict[tuple[int, str], Any] = {}
        self._written: set[tuple[int, str]] = set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile, what a step reads is added."""
        owners = list(_owners(self._task))
        before = [(owner, name, contents(value)) for owner in owners for name, value in vars(owner).items()]
        with ExitStack() as stack:
            stack.callback(self._compare, before)
            for kind in {type(owner) for owner in owners}:
                stack.enter_context(self._seen(kind))
            yield

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """Each owner, and the name of its attribute."""
        for (key, name), owner in self._read.items():
            if (key, name) not in self._written and name not in names_of_keras(owner) | _SWITCHED:
                yield owner, name

    def _compare(self, before: list[tuple[Any, str, Any]]) -> None:
        for owner, name, was in before:
            if name not in vars(owner) or not alike(contents(vars(owner)[name]), was):
                self._written.add((id(owner), name))

    @contextmanager
    def _seen(self, kind: type) -> Iterator[None]:
        original: Any = kind.__getattribute__
        read = self._read

        def seen(owner: Any, name: str) -> Any:
            if _is_kept(owner, name):
                read[id(owner), name] = owner
            return original(owner, name)

        is_defined = "__getattribute__" in vars(kind)
        setattr(kind, "__getattribute__", seen)  # noqa: B010  (mypy knows it as a method)
        try:
            yield
        finally:
            if is_defined:
                setattr(kind, "__getattribute__", original)  # noqa: B010
            else:
                delattr(kind, "__getattribute__")


def contents(value: Any) -> Any:
    """What can be compared later: copies of containers and arrays, and all else itself."""
    if isinstance(value, np.ndarray) and value.size <= _LARGEST_ARRAY and value.dtype != object:
        return value.copy()
    if isinstance(value, (dict, list, tuple, deque)) and len(value) <= _LARGEST:
        items = list(value.items()) if isinstance(value, dict) else value
        return tuple(contents(each) for each in items)
    if isinstance(value, SimpleNamespace):
        return contents(vars(value))
    return value


def alike(one: Any, other: Any) -> bool:
    """Whether two `contents` are the same objects, numbers, texts and arrays."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return isinstance(one, (*_PLAIN, np.generic)) and bool(one == other or (one != one and other != other))


def _is_kept(owner: Any, name: str) -> bool:
    """Whether it is an attribute of the object, or a number or text of its class."""
    if name.startswith("__"):
        return False
    if name in object.__getattribute__(owner, "__dict__"):
        return True
    held = next((vars(kind)[name] for kind in type(owner).__mro__ if name in vars(kind)), ...)
    return isinstance(held, _PLAIN)


def _owners(task: Any) -> Iterator[Any]:
    """The objects of the user's own classes that the task leads to."""
    seen: dict[int, Any] = {}
    waiting = [task]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, (dict, list, tuple, deque)):
            held = list(thing.values() if isinstance(thing, dict) else thing) if len(thing) <= _LARGEST else []
        else:
            held = list(getattr(thing, "__dict__", {}).values())
            is_watchable = hasattr(thing, "__dict__") and not type(thing).__flags__ & _IMMUTABLE
            if is_own(thing) and is_watchable and not isinstance(thing, keras.Variable):
                yield thing
        waiting += [each for each in held if is_entered(each)]
