"""What layers compute from their variables and keep beside them, such as the statistics that a Normalization applies.

Keras' name for computing it is `finalize_state`; a layer of the user's own may also do it in `load_own_variables`,
which Keras calls when weights are loaded. Layers without variables have nothing to compute it from: what their
`finalize_state` looks at is what they were adapted to, which is gone in a layer that was loaded from a file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import keras
import numpy as np

from multilearn_keras.state.hooks import is_overridden, on_host
from multilearn_keras.state.keys import all_layers

__all__ = ["Derived", "derive"]

_log = logging.getLogger("multilearn")

_LOADING = "load_own_variables"


def derive(task: Any) -> bool:
    """After variables were assigned: have the layers of a task, or a model, compute it. Whether there is any."""
    layers = _deriving(all_layers(task).values())
    _finalize(layers)
    return bool(layers)


class Derived:
    """What the layers of a task would keep beside other values of their variables; they are left as they are.

    `values`: pairs of a variable and the value it is to have.
    """

    def __init__(self, task: Any, values: Sequence[tuple[keras.Variable, Any]]) -> None:
        layers = list(all_layers(task).values())
        self._changed: list[tuple[Any, Mapping[str, _Held]]] = []
        if not (deriving := _deriving(layers)):
            return
        before = [(layer, _held(layer)) for layer in layers]
        try:
            with keras.StatelessScope(values):
                _finalize(deriving)
        finally:
            self._changed = [(layer, _changes(old, _held(layer))) for layer, old in before]
            for (layer, changed), (_, old) in zip(self._changed, before, strict=True):
                _put(layer, {name: old.get(name) for name in changed})

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts the layers have it; it may begin and end while a step is traced."""
        before = [(layer, _held(layer, changed)) for layer, changed in self._changed]
        for layer, changed in self._changed:
            _put(layer, changed)
        try:
            yield
        finally:
            for (layer, changed), (_, old) in zip(self._changed, before, strict=True):
                _put(layer, {name: old.get(name) for name in changed})


class _Held(NamedTuple):
    """An attribute, and a copy of what is in it if it can be changed in place."""

    value: Any
    contents: Any

    def same(self, other: _Held | None) -> bool:
        if other is None or self.value is not other.value:
            return False
        if isinstance(self.value, np.ndarray):
            return np.array_equal(self.contents, other.contents)
        return self.contents is other.contents or _parts(self.contents) == _parts(other.contents)


def _deriving(layers: Any) -> list[Any]:
    return [layer for layer in layers if layer.variables and (_finalizes(layer) or is_overridden(layer, _LOADING))]


def _finalizes(layer: Any) -> bool:
    return callable(getattr(layer, "finalize_state", None))


def _finalize(layers: Sequence[Any]) -> None:
    with _untaped():
        for layer in layers:
            if _finalizes(layer):
                layer.finalize_state()
            else:
                _load_own(layer)


def _load_own(layer: Any) -> None:
    """Have a layer load what it holds."""
    store: dict[str, Any] = {}
    try:
        layer.save_own_variables(store)
        layer.load_own_variables({name: on_host(value) for name, value in store.items()})
    except Exception as error:
        said = "%s.load_own_variables does not accept what its save_own_variables saved: %s: %s"
        _log.warning(said, type(layer).__name__, type(error).__name__, str(error)[:200])


def _untaped() -> AbstractContextManager[Any]:
    """Steps take what was computed as constants: on torch it must not remember what it comes from."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def _changes(old: Mapping[str, _Held], new: Mapping[str, _Held]) -> dict[str, _Held]:
    """What is new. Arrays are others than the layer's own, which a step that is traced may keep, and read later."""
    changed = {name: held for name, held in new.items() if not held.same(old.get(name))}
    return {
        name: _Held(held.contents, held.contents) if isinstance(held.value, np.ndarray) else held
        for name, held in changed.items()
    }


def _held(layer: Any, names: Mapping[str, Any] | None = None) -> dict[str, _Held]:
    attributes = vars(layer)
    return {name: _Held(value, _copied(value)) for name, value in attributes.items() if names is None or name in names}


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    kind = next((kind for kind in (list, dict, set) if isinstance(value, kind)), None)
    return value if kind is None else kind(value)


def _parts(contents: Any) -> Any:
    """What can be compared: the objects in a container by identity, for tensors say of each element if it is equal."""
    if isinstance(contents, dict):
        return {key: id(value) for key, value in contents.items()}
    return [id(value) for value in contents] if isinstance(contents, (list, set)) else id(contents)


def _put(layer: Any, attributes: Mapping[str, _Held | None]) -> None:
    """Give a layer these attributes, past Keras' tracking; None is for one that it did not have."""
    own = vars(layer)
    for name, held in attributes.items():
        if held is None:
            own.pop(name, None)
            continue
        own[name] = value = held.value
        if isinstance(value, np.ndarray):
            np.copyto(value, held.contents)
        elif isinstance(value, list):
            list.__setitem__(value, slice(None), held.contents)
        elif isinstance(value, (dict, set)):
            kind: Any = dict if isinstance(value, dict) else set
            kind.clear(value)
            kind.update(value, held.contents)
