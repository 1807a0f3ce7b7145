"""What holds variables, and what it holds: the attributes of layers, metrics and plain objects, and containers."""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import keras

from multilearn_keras.keras_internals import Functional

__all__ = ["attributes", "children", "is_helper", "kind_of"]

# Where Keras and torch list again what attributes already hold.
_LISTED = frozenset({"_modules", "_obj_reference_counts_dict"})
_STORES = frozenset({"_layers", "_seed_generators", "_non_trainable_variables", "_trainable_variables"})
# What TensorFlow's Trackable and AutoTrackable keep on an object.
_TRACKING = frozenset(
    {
        *("_self_name_based_restores", "_self_saveable_object_factories", "_self_setattr_tracking"),
        *("_self_unconditional_checkpoint_dependencies", "_self_unconditional_deferred_dependencies"),
        *("_self_unconditional_dependency_names", "_self_update_uid"),
    }
)
# What `compile` adds to a model: the learner has its own.
_COMPILED = frozenset({"_compile_loss", "_compile_metrics", "_loss_tracker", "optimizer"})
_BUFFERS = "__multilearn_buffers"
_WITHOUT_STATE = frozenset({"jax", "jaxlib", "keras", "numpy", "tensorflow", "torch"}) | sys.stdlib_module_names


def children(parent: Any, *, wide: bool) -> Iterator[tuple[str, Any]]:
    """What `parent` holds, by name, in the order of a record.

    `wide`: also what records of version 0.1 do not have: metrics, plain objects, deques, and attributes called like
    those of Keras or TensorFlow.
    """
    if isinstance(parent, (keras.Sequential, Functional)):
        yield "layers", parent.layers
    if isinstance(parent, keras.layers.TorchModuleWrapper):
        yield "module", _module_state(parent)
    if isinstance(parent, dict):
        yield from _sorted((str(key), child) for key, child in parent.items() if kind_of(child, wide=wide) is not None)
    elif isinstance(parent, (list, tuple, deque)):
        count: Counter[str] = Counter()
        for child in parent:
            kind = kind_of(child, wide=wide)
            if kind is not None:
                yield f"{kind}.{count[kind]}", child
                count[kind] += 1
    else:
        yield from attributes(parent, wide=wide)


def attributes(thing: Any, *, wide: bool) -> Iterator[tuple[str, Any]]:
    """Its attributes, sorted, without leading underscores."""
    held = dict(getattr(thing, "__dict__", {}))
    # On torch a layer is a Module, which keeps its submodules apart from its attributes.
    held |= held.get("_modules") or {}
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        held |= {name: getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots)}
    is_listed = _is_listed_again if wide else _is_left_out_of_old_records
    return _sorted(
        (name.lstrip("_") or name, value)
        for name, value in held.items()
        if not (name.startswith("__") or is_listed(thing, name, value))
    )


def kind_of(thing: Any, *, wide: bool) -> str | None:
    """What lists call it; None for what holds no state."""
    if isinstance(thing, keras.layers.InputLayer) or (isinstance(thing, keras.metrics.Metric) and not wide):
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
    if not wide:
        return None
    if isinstance(thing, deque):
        return "deque"
    return _snake(type(thing).__name__) if isinstance(thing, keras.metrics.Metric) or is_helper(thing) else None


def is_helper(thing: Any) -> bool:
    """Whether it is an object of a class that is no framework's nor the standard library's: it may hold variables."""
    if isinstance(thing, (type, keras.layers.Layer, keras.metrics.Metric, keras.optimizers.Optimizer)):
        return False
    package = type(thing).__module__.partition(".")[0]
    return isinstance(thing, SimpleNamespace) or package not in _WITHOUT_STATE


def _is_left_out_of_old_records(thing: Any, name: str, value: Any) -> bool:
    return name in _LISTED or name in _STORES or name.startswith("_self_")


def _is_listed_again(thing: Any, name: str, value: Any) -> bool:
    if name in _LISTED or name in _TRACKING or (name in _COMPILED and isinstance(thing, keras.Model)):
        return True
    if name == "_layers" and isinstance(thing, (keras.Sequential, Functional)):
        return True
    tracker = getattr(thing, "_tracker", None)
    return any(value is store for _, store in getattr(tracker, "config", {}).values())


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


def _sorted(held: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return iter(sorted(held, key=lambda child: child[0]))


def _snake(name: str) -> str:
    words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower().strip("_")
