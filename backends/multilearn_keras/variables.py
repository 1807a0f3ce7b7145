"""The keys of everything that has state in a task: paths through attributes and positions, never through names.

A key depends on how a model is written, not on how often models were built in the process, nor on the framework:

* Sequential and functional models give `layers/<class>.<k>`, counted per class in the order of `.layers`;
* lists and tuples give `<class>.<k>` likewise, dicts their keys, in sorted order;
* everything else gives the name of the attribute, sorted, without leading underscores.

What is shared belongs to the first place that reaches it. Metrics are no part of a model's state.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import keras
from keras.src.models.functional import Functional

from multilearn.errors import ConfigurationError, RecordMismatch

__all__ = ["flatten", "layers_of", "nest", "variables", "variables_of"]

T = TypeVar("T")
Path = tuple[str, ...]

# Where Keras and the frameworks list again what attributes already hold.
BOOKKEEPING = frozenset(
    {
        *("_layers", "_modules", "_obj_reference_counts_dict", "_seed_generators"),
        *("_non_trainable_variables", "_trainable_variables"),
    }
)
TENSORFLOW_BOOKKEEPING = "_self_"
_BUFFERS = "__multilearn_buffers"


def variables(task: Any) -> dict[str, keras.Variable]:
    """All state of `task`: its model's variables, and under `task/<attribute>/...` what the task itself holds.

    Raises `ConfigurationError` where a variable of a layer cannot be given a key.
    """
    seen: dict[int, object] = {}
    found = list(_walk(task.model, (), seen))
    if task is not task.model:
        seen[id(task)] = task
        own = list(_walk_children(task, list(_attributes(task)), ("task",), seen))
        if own and any(path[0] == "task" for path, _ in found):
            raise ConfigurationError(
                "A model whose task has variables of its own must not keep state in an attribute `task`.",
                received=f"{type(task.model).__name__}.task",
                remedy="Rename that attribute.",
            )
        found += own
    return {"/".join(path): variable for path, variable in found}


def variables_of(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """All state of a model or layer: trainable variables, others, and the states of its seed generators."""
    return {"/".join(path): variable for path, variable in _walk(layer, (), {})}


def layers_of(task: Any) -> dict[str, keras.layers.Layer]:
    """The layers of a task's model by their keys: those of their variables, without the last part. The model is ""."""
    return {"/".join(path): layer for path, layer in _walk_layers(task.model, (), {})}


def nest(flat: Mapping[str, T]) -> dict[str, Any]:
    """`{"a/b": x}` as `{"a": {"b": x}}`."""
    nested: dict[str, Any] = {}
    for key, leaf in flat.items():
        *parents, last = key.split("/")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                break
        if not isinstance(at, dict) or last in at:
            raise ConfigurationError(
                "A key must not be the beginning of another one.",
                received=f"{key!r} and a key it begins with, or that begins with it",
                remedy="Rename one of the two attributes.",
            )
        at[last] = leaf
    return nested


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `nest`. Whatever is no map is a leaf."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if not isinstance(name, str) or "/" in name:
            raise RecordMismatch("The names in a record are texts without a slash.", received=repr(name))
        if isinstance(value, Mapping):
            flat.update({f"{name}/{key}": leaf for key, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def _walk(thing: Any, path: Path, seen: dict[int, object]) -> Iterator[tuple[Path, keras.Variable]]:
    if isinstance(thing, keras.random.SeedGenerator):
        thing = thing.state
    if id(thing) in seen or _kind(thing) is None:
        return
    seen[id(thing)] = thing
    if isinstance(thing, keras.Variable):
        yield path, thing
        return
    yield from _walk_children(thing, list(_children(thing)), path, seen)
    if isinstance(thing, keras.layers.Layer):
        _refuse_unreachable(thing, path, seen)


def _walk_children(
    parent: Any, children: list[tuple[str, Any]], path: Path, seen: dict[int, object]
) -> Iterator[tuple[Path, keras.Variable]]:
    taken: set[str] = set()
    for name, child in children:
        state = list(_walk(child, (*path, _escape(name)), seen))
        if state and name in taken:
            raise ConfigurationError(
                "The names under which one object keeps its state must differ, leading underscores aside.",
                received=f"{name!r} twice in {_described(parent, path)}",
                remedy="Rename one of the two.",
            )
        if state:
            taken.add(name)
        yield from state


def _walk_layers(thing: Any, path: Path, seen: dict[int, object]) -> Iterator[tuple[Path, keras.layers.Layer]]:
    if id(thing) in seen or not isinstance(thing, (keras.layers.Layer, list, tuple, dict)):
        return
    seen[id(thing)] = thing
    if isinstance(thing, keras.layers.Layer):
        yield path, thing
    for name, child in _children(thing):
        yield from _walk_layers(child, (*path, _escape(name)), seen)


def _children(parent: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(parent, (keras.Sequential, Functional)):
        yield "layers", parent.layers
    if isinstance(parent, keras.layers.TorchModuleWrapper):
        yield "module", _module_state(parent)
    if isinstance(parent, keras.layers.Layer):
        yield from _attributes(parent)
    elif isinstance(parent, dict):
        yield from _sorted((str(key), child) for key, child in parent.items() if _kind(child) is not None)
    else:
        count: Counter[str] = Counter()
        for child in parent:
            kind = _kind(child)
            if kind is not None:
                yield f"{kind}.{count[kind]}", child
                count[kind] += 1


def _module_state(layer: Any) -> dict[str, keras.Variable]:
    """By their names in the module: its parameters, as Keras tracks them, and its buffers, such as running means.

    Keras has no variables for buffers. Those made here are the buffers' own memory, and stay the same for a layer.
    """
    tracked = {id(variable.value): variable for variable in layer.variables}
    known: dict[str, keras.Variable] = layer.__dict__.setdefault(_BUFFERS, {})
    for name, buffer in layer.module.named_buffers():
        if name not in known or known[name]._value is not buffer:
            variable = keras.Variable(buffer.cpu().numpy(), dtype=str(buffer.dtype).rpartition(".")[2], trainable=False)
            variable._value = buffer
            known[name] = variable
    parameters = {name: tracked[id(value)] for name, value in layer.module.named_parameters() if id(value) in tracked}
    return {**parameters, **known}


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    held = dict(getattr(thing, "__dict__", {}))
    # On torch a layer is a Module, which keeps its submodules apart from its attributes.
    held |= held.get("_modules") or {}
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        held |= {name: getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots)}
    return _sorted(
        (name.lstrip("_") or name, value)
        for name, value in held.items()
        if not (name in BOOKKEEPING or name.startswith((TENSORFLOW_BOOKKEEPING, "__")))
    )


def _sorted(children: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return iter(sorted(children, key=lambda child: child[0]))


def _kind(thing: Any) -> str | None:
    """What lists call it; None for what holds no state."""
    if isinstance(thing, (keras.layers.InputLayer, keras.metrics.Metric)):
        return None
    if isinstance(thing, keras.layers.Layer):
        return _snake(type(thing).__name__)
    for kind, types in (
        ("variable", keras.Variable),
        ("seed_generator", keras.random.SeedGenerator),
        ("list", (list, tuple)),
        ("dict", dict),
    ):
        if isinstance(thing, types):
            return kind
    return None


def _snake(name: str) -> str:
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower().strip("_")


def _escape(name: str) -> str:
    """Injective: no slash in a path's part, and no empty part."""
    return name.replace("%", "%25").replace("/", "%2F") or "%"


def _refuse_unreachable(layer: keras.layers.Layer, path: Path, seen: dict[int, object]) -> None:
    lost = [f"{variable.name} {tuple(variable.shape)}" for variable in layer.variables if id(variable) not in seen]
    if lost:
        raise ConfigurationError(
            "Records find a layer's variables through its attributes, and through lists, tuples and dicts in them.",
            received=f"{', '.join(lost)} of {_described(layer, path)}, which no attribute leads to",
            remedy="Keep each in an attribute of the layer that uses it.",
        )


def _described(thing: Any, path: Path) -> str:
    return f"{type(thing).__name__} at {'/'.join(path)!r}" if path else type(thing).__name__
