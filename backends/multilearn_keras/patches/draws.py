"""The draws of Keras and the seeds it makes up, replaced by the portable generator's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import (
    backend_module,
    get_global_attribute,
    inside,
    is_in_jax_tracing_scope,
    seed_generator,
    set_global_attribute,
    unseeded_name,
)
from multilearn_keras.patches import augmentation
from multilearn_keras.random import mirrors
from multilearn_keras.random.bits import key_of
from multilearn_keras.random.draws import Draws, advance
from multilearn_keras.random.seeds import default_seed, is_chosen, unseeded_seed

__all__ = ["CALLERS", "INSIDE", "MARK", "install"]

_DRAWS = (
    *("beta", "categorical", "dropout", "gamma"),
    *("normal", "randint", "shuffle", "truncated_normal", "uniform"),
)
MARK = "multilearn_draws"
_SEED = "global_random_seed"

INSIDE = {
    "backend:random.beta": "shape alpha beta dtype seed",
    "backend:random.binomial": "shape counts probabilities dtype seed",
    "backend:random.categorical": "logits num_samples dtype seed",
    "backend:random.dropout": "inputs rate noise_shape seed",
    "backend:random.gamma": "shape alpha dtype seed",
    "backend:random.make_default_seed": "",
    "backend:random.normal": "shape mean stddev dtype seed",
    "backend:random.randint": "shape minval maxval dtype seed",
    "backend:random.shuffle": "x axis seed",
    "backend:random.truncated_normal": "shape mean stddev dtype seed",
    "backend:random.uniform": "shape minval maxval dtype seed",
    "backend.common.global_state:get_global_attribute": "name default set_to_default",
    "backend.common.global_state:set_global_attribute": "name value",
    "backend.common.variables:Variable.assign": "self value",
    "initializers.random_initializers:Orthogonal.__call__": "self shape dtype",
    "random.seed_generator:SeedGenerator.__init__": "self seed name kwargs",
    "random.seed_generator:SeedGenerator.next": "self ordered",
    "random.seed_generator:global_seed_generator": "",
    "random.seed_generator:make_default_seed": "",
    "utils.backend_utils:DynamicBackend.__getattr__": "self name",
    "utils.jax_utils:is_in_jax_tracing_scope": "x",
}
# Where layers, initialisers and users reach the draws: one module, replaced once.
CALLERS = ("backend:random", "initializers.random_initializers:random", "ops:random", "random.random:backend.random")


def install() -> None:
    """Replace the draws, the default seeds, and what initialisers compute with the framework."""
    draws = _replace_draws(backend_module())
    generator = seed_generator.SeedGenerator
    seed_generator.make_default_seed = default_seed
    seed_generator.global_seed_generator = _unseeded(seed_generator.global_seed_generator)
    generator.next = _advancing(generator.next)
    generator.__init__ = _portable_seed(generator.__init__)
    orthogonal = inside("initializers.random_initializers:Orthogonal")
    orthogonal.__call__ = _on_the_host(orthogonal.__call__, draws)
    dynamic = inside("utils.backend_utils:DynamicBackend")
    dynamic.__getattr__ = _replacing(dynamic.__getattr__)


def _replace_draws(module: Any) -> Draws:
    draws = Draws(module, unseeded=lambda: seed_generator.global_seed_generator())
    for name in _DRAWS:
        draw = getattr(draws, name)
        setattr(module.random, name, draw if module.__name__.endswith(".tensorflow") else _drawing_in_pipelines(draw))
    module.random.binomial = _refused_in_seeded_experiments(module.random.binomial)
    augmentation.replace_images(module, draws, is_chosen)
    module.random.make_default_seed = default_seed
    setattr(module.random, MARK, draws)
    return draws


def _unseeded(original: Callable[[], Any]) -> Callable[[], Any]:
    """Keras' stream of unseeded draws, from a seed that no layer has."""

    name = unseeded_name()

    @functools.wraps(original)
    def generator() -> Any:
        # While JAX traces, Keras refuses an unseeded draw; that is left to it.
        if get_global_attribute(name) is None and not is_in_jax_tracing_scope():
            set_global_attribute(name, keras.random.SeedGenerator(unseeded_seed()))
        return original()

    return generator


def _advancing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def following(self: Any, ordered: bool = True) -> Any:
        return advance(self, ordered)

    return following


def _portable_seed(original: Callable[..., None]) -> Callable[..., None]:
    """A seed that some framework's state cannot hold starts from the key that an integer seed has."""

    @functools.wraps(original)
    def initialise(self: Any, seed: Any = None, name: str | None = None, **kwargs: Any) -> None:
        original(self, key_of(seed)[0] if isinstance(seed, int) else seed, name, **kwargs)
        self._initial_seed = seed

    return initialise


def _on_the_host(original: Callable[..., Any], draws: Draws) -> Callable[..., Any]:
    """The frameworks' own QR decompositions differ by 1e-6."""

    @functools.wraps(original)
    def call(self: Any, shape: Any, dtype: Any = None) -> Any:
        if len(shape) < 2 or not isinstance(self.seed, int):
            return original(self, shape, dtype)
        return draws.orthogonal(shape, self.gain, key_of(self.seed), dtype)

    return call


def _replacing(original: Callable[..., Any]) -> Callable[..., Any]:
    """In a tf.data pipeline, preprocessing layers draw with TensorFlow under every framework."""

    @functools.wraps(original)
    def attribute(self: Any, name: str) -> Any:
        found = original(self, name)
        if name in ("random", "image") and isinstance(found, ModuleType):
            _draws_of(backend_module(framework=self._backend))
        return found

    return attribute


def _refused_in_seeded_experiments(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def binomial(*args: Any, **kwargs: Any) -> Any:
        if is_chosen():
            raise ConfigurationError(
                "keras.random.binomial is not the same on every framework, so a seeded experiment cannot use it.",
                received="a binomial draw after set_seed",
                remedy="Add up comparisons of keras.random.uniform with the probability, or leave out set_seed.",
            )
        return original(*args, **kwargs)

    return binomial


def _drawing_in_pipelines(draw: Callable[..., Any]) -> Callable[..., Any]:
    """`keras.random` in a function that a tf.data pipeline maps draws with TensorFlow too, once for each element."""

    @functools.wraps(draw)
    def drawing(*args: Any, **kwargs: Any) -> Any:
        if mirrors.is_tracing_pipeline():
            return getattr(_draws_of(backend_module(framework="tensorflow")), draw.__name__)(*args, **kwargs)
        return draw(*args, **kwargs)

    return drawing


def _draws_of(module: Any) -> Draws:
    """The draws of a backend module of Keras, which has them from now on."""
    return getattr(module.random, MARK, None) or _replace_draws(module)
