"""What layers of the user's own save by Keras' hooks, besides the values of their variables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

__all__ = ["is_overridden", "on_host", "saved_by_hooks"]

_KERAS = ("keras", "keras_hub")
_ASSETS, _VARIABLES = "save_assets", "save_own_variables"


def is_overridden(layer: Any, hook: str) -> bool:
    """Whether a class that is not of Keras, or of its hub, defines it."""
    owner = next((kind for kind in type(layer).__mro__ if hook in vars(kind)), None)
    return owner is not None and owner.__module__.partition(".")[0] not in _KERAS


def saved_by_hooks(layer: Any) -> Iterator[tuple[str, Any]]:
    """Names and values: the lines of files, and arrays. Raises what the hooks raise."""
    if is_overridden(layer, _ASSETS):
        yield from _assets(layer)
    if is_overridden(layer, _VARIABLES):
        yield from _saved(layer)


def on_host(value: Any) -> np.ndarray[Any, Any]:
    """A variable, a tensor of any framework, or what numpy makes an array of."""
    tensor = isinstance(value, keras.Variable) or keras.ops.is_tensor(value)
    return np.asarray(keras.ops.convert_to_numpy(value) if tensor else value)


def _assets(layer: Any) -> Iterator[tuple[str, Any]]:
    """The lines of each file, or its hash if it is no text."""
    with TemporaryDirectory(prefix="multilearn-") as folder:
        layer.save_assets(folder)
        for path in sorted(each for each in Path(folder).rglob("*") if each.is_file()):
            content = path.read_bytes()
            try:
                lines: Any = content.decode().splitlines()
            except UnicodeDecodeError:
                lines = hashlib.sha256(content).hexdigest()
            yield f"asset {path.relative_to(folder).as_posix().replace('/', ' ')}", lines


def _saved(layer: Any) -> Iterator[tuple[str, Any]]:
    """The entries that are the same whatever the variables hold."""
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    if all(isinstance(each, keras.Variable) for each in store.values()):
        return
    stores = []
    for number in (0, 1):
        store = {}
        with keras.StatelessScope([(v, keras.ops.full(v.shape, number, v.dtype)) for v in layer.variables]):
            layer.save_own_variables(store)
            stores.append({name: on_host(each).copy() for name, each in store.items()})
    for name, array in stores[0].items():
        if name in stores[1] and np.array_equal(array, stores[1][name]):
            yield f"saved {name}".replace("/", " "), array
