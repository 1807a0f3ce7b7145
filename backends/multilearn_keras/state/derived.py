"""What layers compute from their variables and keep beside them, such as the statistics that a Normalization applies;
and what layers of the user's own save by Keras' hooks besides.

Keras' name for computing it is `finalize_state`; a layer of the user's own may also do it in `load_own_variables`,
which Keras calls when weights are loaded. Layers without variables have nothing to compute it from: what their
`finalize_state` looks at is what they were adapted to, which is gone in a layer that was loaded from a file.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np

from multilearn_keras.state.keys import all_layers
from multilearn_keras.state.places import is_own, names_of_keras

__all__ = ["Derived", "arrays_of", "derive", "is_overridden", "on_host", "saved_by_hooks"]

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
