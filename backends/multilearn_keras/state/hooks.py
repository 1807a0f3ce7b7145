"""What layers of the user's own save by Keras' hooks, besides the values of their variables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from multilearn_keras.state.places import is_own, names_of_keras

__all__ = ["arrays_of", "is_overridden", "on_host", "saved_by_hooks"]

_KERAS = ("keras", "keras_hub")
_WRITTEN_OUT = 1000  # numbers of an array
_ASSETS, _VARIABLES = "save_assets", "save_own_variables"
_HOOKS = (_ASSETS, _VARIABLES, "load_assets", "load_own_variables", "finalize_state")


def is_overridden(layer: Any, hook: str) -> bool:
    """Whether a class that is not of Keras, or of its hub, defines it."""
    owner = next((kind for kind in type(layer).__mro__ if hook in vars(kind)), None)
    return owner is not None and owner.__module__.partition(".")[0] not in _KERAS


def arrays_of(layer: Any) -> Iterator[tuple[str, Any]]:
    """Arrays of numpy in attributes of a layer of the user's that has no hooks: its call may read them.

    Large ones, and those with numbers that are not finite, by type, shape and hash. With hooks, they may be what the
    layer makes of its variables.
    """
    if not is_own(layer) or any(is_overridden(layer, hook) for hook in _HOOKS):
        return
    for name, value in vars(layer).items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biufU" and name not in names_of_keras(layer):
            small = value.size <= _WRITTEN_OUT and (value.dtype.kind != "f" or np.isfinite(value).all())
            yield f"attribute {name}", value if small else _hashed(value)


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


def _hashed(array: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{array.dtype} {array.shape} sha256 {digest[:16]}"


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
