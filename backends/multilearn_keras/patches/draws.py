"""The draws of Keras and the seeds it makes up, replaced by the portable generator's."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import (
    INSIDE,
    around,
    backend_module,
    get_global_attribute,
    is_in_jax_tracing_scope,
    replaces,
    seed_generator,
    set_global_attribute,
    unseeded_name,
)
from multilearn_keras.patches import augmentation
from multilearn_keras.random import pipelines
from multilearn_keras.random.bits import key_of
from multilearn_keras.random.draws import Draws, advance
from multilearn_keras.random.seeds import default_seed, is_chosen, unseeded_seed

__all__ = ["CALLERS", "MARK", "install"]

_DRAWS = (
    *("beta", "categorical", "dropout", "gamma"),
    *("normal", "randint", "shuffle", "truncated_normal", "uniform"),
)
MARK = "multilearn_draws"
INSIDE |= {
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
    "random.seed_generator:make_default_seed": "",
    "utils.jax_utils:is_in_jax_tracing_scope": "x",
}
# Where layers, initialisers and users reach the draws: one module, replaced once.
CALLERS = ("backend:random", "initializers.random_initializers:random", "ops:random", "random.random:backend.random")


def install() -> None:
    """Replace the draws and the default seeds; what else there is to draws is declared below."""
    _replace_draws(backend_module())
    seed_generator.make_default_seed = default_seed


def _replace_draws(module: Any) -> Draws:
    draws = Draws(module, unseeded=lambda: seed_generator.global_seed_generator())
    for name in _DRAWS:
        draw = getattr(draws, name)
        in_pipelines = not module.__name__.endswith(".tensorflow")
        setattr(module.random, name, around(draw, _drawing_in_pipelines) if in_pipelines else draw)
    module.random.binomial = around(module.random.binomial, _refused_in_seeded_experiments)
    augmentation.replace_images(module, draws)
    module.random.make_default_seed = default_seed
    setattr(module.random, MARK, draws)
    return draws


@replaces("random.seed_generator:global_seed_generator", "")
def _unseeded(original: Callable[[], Any]) -> Any:
    """Keras' stream of unseeded draws, from a seed that no layer has."""
    # While JAX traces, Keras refuses an unseeded draw; that is left to it.
    if get_global_attribute(unseeded_name()) is None and not is_in_jax_tracing_scope():
        set_global_attribute(unseeded_name(), keras.random.SeedGenerator(unseeded_seed()))
    return original()


@replaces("random.seed_generator:SeedGenerator.next", "self ordered")
def _advancing(original: Callable[..., Any], generator: Any, ordered: bool = True) -> Any:
    return advance(generator, ordered)


@replaces("random.seed_generator:SeedGenerator.__init__", "self seed name kwargs")
def _portable_seed(
    original: Callable[..., None], generator: Any, seed: Any = None, name: str | None = None, **kwargs: Any
) -> None:
    """A seed that some framework's state cannot hold starts from the key that an integer seed has."""
    original(generator, key_of(seed)[0] if isinstance(seed, int) else seed, name, **kwargs)
    generator._initial_seed = seed


@replaces("initializers.random_initializers:Orthogonal.__call__", "self shape dtype")
def _on_the_host(original: Callable[..., Any], initializer: Any, shape: Any, dtype: Any = None) -> Any:
    """The frameworks' own QR decompositions differ by 1e-6."""
    if len(shape) < 2 or not isinstance(initializer.seed, int):
        return original(initializer, shape, dtype)
    return _draws_of(backend_module()).orthogonal(shape, initializer.gain, key_of(initializer.seed), dtype)


@replaces("utils.backend_utils:DynamicBackend.__getattr__", "self name")
def _replacing(original: Callable[..., Any], dynamic: Any, name: str) -> Any:
    """In a tf.data pipeline, preprocessing layers draw with TensorFlow under every framework."""
    found = original(dynamic, name)
    if name in ("random", "image") and isinstance(found, ModuleType):
        _draws_of(backend_module(framework=dynamic._backend))
    return found


def _refused_in_seeded_experiments(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if is_chosen():
        raise ConfigurationError(
            "keras.random.binomial is not the same on every framework, so a seeded experiment cannot use it.",
            received="a binomial draw after set_seed",
            remedy="Add up comparisons of keras.random.uniform with the probability, or leave out set_seed.",
        )
    return original(*args, **kwargs)


def _drawing_in_pipelines(draw: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`keras.random` in a function that a tf.data pipeline maps draws with TensorFlow too, once for each element."""
    if pipelines.is_tracing_pipeline():
        return getattr(_draws_of(backend_module(framework="tensorflow")), draw.__name__)(*args, **kwargs)
    return draw(*args, **kwargs)


def _draws_of(module: Any) -> Draws:
    """The draws of a backend module of Keras, which has them from now on."""
    return getattr(module.random, MARK, None) or _replace_draws(module)
