"""What Keras has inside, beside its public face, and is used outside of `patches`: named here, and nowhere else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

import keras
from keras.src import metrics as metric_classes
from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope
from keras.src.losses.loss import apply_mask
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.models.functional import Functional
from keras.src.ops.operation import Operation
from keras.src.random import seed_generator
from keras.src.trainers.compile_utils import CompileMetrics, MetricsList, is_binary_or_sparse_categorical
from keras.src.utils.jax_utils import is_in_jax_tracing_scope
from keras.src.utils.naming import get_object_name, to_snake_case

__all__ = [
    "INSIDE",
    "CompileMetrics",
    "Functional",
    "LossFunctionWrapper",
    "MetricsList",
    "Operation",
    "apply_mask",
    "around",
    "backend_module",
    "exists",
    "get_global_attribute",
    "get_keras_mask",
    "get_object_name",
    "get_stateless_scope",
    "in_stateless_scope",
    "inside",
    "is_binary_or_sparse_categorical",
    "is_in_jax_tracing_scope",
    "metric_classes",
    "replace_all",
    "replaces",
    "seed_generator",
    "set_global_attribute",
    "set_keras_mask",
    "to_snake_case",
    "unlike",
    "unseeded_name",
    "unseeded_state",
]

INSIDE: dict[str, str] = {}
"""What is replaced in Keras, and what is called in its place, with its parameters: a draw with others is another draw.
"""
_replacements: dict[str, Callable[..., Any]] = {}


def replaces(name: str, parameters: str, *frameworks: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a function that `replace_all` puts in the place of what Keras has at `name`, which takes `parameters`.

    It is given the original before the arguments. `frameworks`: where it is replaced; by default, on all.
    """

    def declared(replacement: Callable[..., Any]) -> Callable[..., Any]:
        if not frameworks or keras.backend.backend() in frameworks:
            INSIDE[name] = parameters
            _replacements[name] = replacement
        return replacement

    return declared


def replace_all() -> None:
    """Replace what was declared. To be called once."""
    for name, replacement in _replacements.items():
        owner, last = _place(name)
        setattr(owner, last, around(inside(name), replacement))


def around(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    """`replacement`, which is given the original before its arguments."""

    @functools.wraps(original)
    def called(*args: Any, **named: Any) -> Any:
        return replacement(original, *args, **named)

    return called


def inside(name: str) -> Any:
    """What Keras has at `module:attribute`, in the package that is not its public face."""
    return resolve_name(f"keras.src.{name}")


def backend_module(name: str = "", framework: str | None = None) -> Any:
    """Keras' module for a framework, by default the one that it runs on, or a module in it."""
    return import_module(f"keras.src.backend.{framework or keras.backend.backend()}{name and '.'}{name}")


def exists(name: str) -> bool:
    """Whether `name`, as `inside` takes it, is there, and not inherited from elsewhere."""
    try:
        owner, last = _place(name)
        return last in vars(owner)
    except (AttributeError, ImportError):
        return False


def _place(name: str) -> tuple[Any, str]:
    """What holds `name`, and the name that it has there."""
    module, _, path = name.partition(":")
    owner, _, last = path.rpartition(".")
    return inside(f"{module}:{owner}" if owner else module), last


def unlike(name: str, parameters: str) -> str | None:
    """What is wrong with what Keras has under `name`, which should be called with `parameters`."""
    if not exists(name):
        return f"{name} missing"
    found = inside(name)
    if not callable(found):
        return f"{name} no function"
    taken = " ".join(inspect.signature(found).parameters)
    return None if taken == parameters else f"{name}({taken.replace(' ', ', ')})"


def unseeded_name() -> str:
    """What Keras keeps the generator of unseeded draws under; a constant since 3.13."""
    return getattr(seed_generator, "GLOBAL_SEED_GENERATOR", "global_seed_generator")


def unseeded_state() -> Sequence[keras.Variable]:
    """The state of Keras' stream of unseeded draws, if there is one yet."""
    generator = get_global_attribute(unseeded_name())
    return () if generator is None else (generator.state,)
