"""Draws in a tf.data pipeline, made by TensorFlow whatever the framework: Keras' generators, TensorFlow's seed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import keras

from multilearn_keras.keras_internals import (
    get_global_attribute,
    is_in_jax_tracing_scope,
    replaces,
    set_global_attribute,
)

__all__ = ["follow", "is_tracing_pipeline", "mirror_of", "on_backend", "seed_tensorflow"]

_SCOPE = "stateless_scope"

_mirrors: WeakKeyDictionary[keras.random.SeedGenerator, keras.random.SeedGenerator] = WeakKeyDictionary()


@replaces("layers.preprocessing.data_layer:DataLayer._get_seed_generator", "self backend")
def _the_one_generator(original: Callable[..., Any], layer: Any, backend: Any = None) -> Any:
    """Preprocessing layers draw with the one generator that they have, in a pipeline too.

    Keras makes them another one for it, which starts from the layer's seed; a layer without a seed then takes one more
    of those that follow from the experiment's.
    """
    return original(layer)


def is_tracing_pipeline() -> bool:
    """Whether TensorFlow is tracing a graph: under another framework, that of a pipeline."""
    executing_eagerly: Callable[[], bool] | None = getattr(sys.modules.get("tensorflow"), "executing_eagerly", None)
    return executing_eagerly is not None and not executing_eagerly() and not is_in_jax_tracing_scope()


def on_backend(generator: keras.random.SeedGenerator, backend: Any) -> keras.random.SeedGenerator:
    """`generator`, or its mirror if `backend` (TensorFlow's module of Keras) has other variables than the framework.

    A mirror begins with the state of the generator, and `draws.advance` keeps the two the same.
    """
    if isinstance(generator.state, backend.Variable):
        return generator
    if generator not in _mirrors:
        import tensorflow

        # the pipeline is being traced, perhaps by a layer that is being built, and this is no part of it
        with tensorflow.init_scope(), _outside_of_scopes():
            mirror = keras.random.SeedGenerator(0, generator.name, backend=backend)
            follow(mirror, generator)
        _mirrors[generator] = mirror
    return _mirrors[generator]


def mirror_of(generator: keras.random.SeedGenerator) -> keras.random.SeedGenerator | None:
    """Its mirror, if a pipeline draws from it under another framework than TensorFlow."""
    return _mirrors.get(generator) if _mirrors else None


def follow(generator: keras.random.SeedGenerator, other: keras.random.SeedGenerator) -> None:
    """Take the state of the other one, of whatever framework."""
    # `value` is another one while torch is asked for shapes
    generator.state.assign(other.backend.convert_to_numpy(other.state._value))


@contextmanager
def _outside_of_scopes() -> Iterator[None]:
    """Variables are made and assigned, whatever stateless scope there is."""
    scope = get_global_attribute(_SCOPE)
    set_global_attribute(_SCOPE, None)
    try:
        yield
    finally:
        set_global_attribute(_SCOPE, scope)


_NAME = "tensorflow"


def seed_tensorflow(n: int) -> None:
    """Start TensorFlow's own streams from `n`: now, if it is imported, else when the script imports it."""
    if _AT_IMPORT in sys.meta_path:
        sys.meta_path.remove(_AT_IMPORT)
    tensorflow = sys.modules.get(_NAME)
    if tensorflow is not None:
        tensorflow.random.set_seed(n)
    else:
        _AT_IMPORT.seed = n
        sys.meta_path.insert(0, _AT_IMPORT)


class _AtImport:
    """Finds TensorFlow where the other finders do, and seeds it once it is loaded."""

    seed = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        finders = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((each for each in found if each is not None), None)
        # who only asks whether there is a TensorFlow does not load it
        if spec is not None and spec.loader is not None:
            self._seed_after(spec.loader)
        return spec

    def _seed_after(self, loader: object) -> None:
        """Have this loader, which is made for one import, seed what it has loaded."""
        load = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            load(module)
            seed_tensorflow(self.seed)

        loader.exec_module = exec_module  # type: ignore[attr-defined]


_AT_IMPORT = _AtImport()
