"""All attributes and entries of what a task holds, by their paths: where a step might bind something else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
from keras import ops

from multilearn_keras.state.holders import is_helper

__all__ = ["MISSING", "Path", "Place", "Places", "is_entered", "is_own", "names_of_keras", "places"]

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
