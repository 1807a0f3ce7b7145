"""Keras objects in words: the same for the same configuration, on every framework and in every process."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from multilearn_keras.state.beside import known_beside
from multilearn_keras.state.keys import layers_of

__all__ = ["described", "layers_described", "optimizer_described", "optimizers_described", "parameters"]

_LONGEST = 600
_FEW = 8
_MISSING = object()


def layers_described(task: Any) -> dict[str, str]:
    """How every layer of a task's model is configured, by its key. Models in it are what their layers are.

    A Sequential model that is built has another one inside, which must make no difference.
    """
    return {key: described(layer) for key, layer in layers_of(task).items() if not isinstance(layer, keras.Model)}


def described(thing: Any) -> str:
    """A layer, a loss or the like as it would be made, without its name and what is None or unknown.

    Read from its attributes, for `get_config` of Keras imports TensorFlow whatever the backend.

    >>> described(keras.layers.Dropout(0.5, name="d"))
    'Dropout(trainable=True, dtype=float32, rate=0.5)'
    """
    call = _call(thing)
    return call if len(call) <= _LONGEST else f"{call[:_LONGEST]}... {hashlib.sha256(call.encode()).hexdigest()[:12]}"


def _call(thing: Any) -> str:
    arguments = [f"{name}={_word(value)}" for name, value in _arguments(thing) if value is not None]
    return f"{type(thing).__name__}({', '.join(arguments)})"


def _arguments(thing: Any) -> Iterator[tuple[str, Any]]:
    names = tuple(name for name in parameters(type(thing)) if name != "weights")
    # where losses that wrap a function keep what is for it
    passed = getattr(thing, "_fn_kwargs", {})
    if isinstance(thing, keras.layers.Layer):
        yield "trainable", thing.trainable
        yield "dtype", thing.dtype_policy.name
        names = tuple(name for name in names if name not in ("trainable", "dtype"))
    kept = known_beside(thing) if isinstance(thing, keras.layers.Layer) else {}
    for name in (*names, *(name for name in kept if name not in names and not hasattr(thing, name))):
        # an initializer without a seed draws one, which is no part of what was asked for
        found = (_attribute(thing, each) for each in (f"_init_{name}", name, f"_{name}"))
        value = next((each for each in found if each is not _MISSING), passed.get(name))
        if value is None and kept.get(name) is not None:
            # numbers as they are described in a layer that is built
            value = np.array(kept[name]) if name in ("mean", "variance") else kept[name]
        if not isinstance(value, keras.layers.Layer):
            yield name, value


def parameters(kind: type) -> tuple[str, ...]:
    """What an object of a class is made with besides its name; of some classes written in C nothing is known."""
    try:
        names = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in names if name not in ("self", "name", "args", "kwargs"))


def _attribute(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, _MISSING)
    except Exception:
        # a property may need what is not there before the layer is built
        return _MISSING


def _word(value: Any) -> str:
    if isinstance(value, (bool, int, float, str, type(None))):
        return str(value)
    if isinstance(value, np.generic):
        return str(value.item())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, Mapping):
        return f"[{', '.join(f'{key}: {_word(each)}' for key, each in value.items())}]"
    if isinstance(value, np.ndarray) or keras.ops.is_tensor(value):
        return _numbers(keras.ops.convert_to_numpy(value).ravel())
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        return value.__name__
    return _call(value) if hasattr(value, "get_config") and not isinstance(value, type) else type(value).__name__


def _numbers(array: np.ndarray[Any, Any]) -> str:
    """Between `~[` and `]` floats, which roundings may change a little; of many, their number and four sums of them.

    The sums are weighted by cos(k i), which leaves no element out and changes as little as the elements do.
    """
    if array.dtype.kind not in "fV":
        return _word(array.tolist())
    values, found = array.astype(np.float64), ""
    if values.size > _FEW:
        found = f"{values.size} in "
        places = np.arange(values.size)
        values = np.array([np.sum(values * np.cos(k * places)) for k in range(4)])
    return f"{found}~[{' '.join(f'{value:.7g}' for value in values)}]"


def optimizer_described(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Its class and what it was made with, as plain data."""
    return {"class": type(optimizer).__name__, **keras.tree.map_structure(_plain, optimizer.get_config())}


def optimizers_described(
    optimizers: Mapping[str, keras.optimizers.Optimizer], turns: Mapping[str, Any]
) -> dict[str, Any]:
    """Of each turn, and together in words, which a resumed run compares."""
    words = []
    for name, optimizer in optimizers.items():
        often = {"times": turns[name].times, "every": turns[name].every}
        said = "".join(f", {key}={value}" for key, value in often.items() if value > 1)
        words.append(f"{type(optimizer).__name__} for {name}{said}")
    return {"class": "; ".join(words), "turns": {name: optimizer_described(each) for name, each in optimizers.items()}}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
