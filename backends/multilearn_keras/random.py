"""Everything random in Keras, from one seed and the same on every framework.

`install` puts the portable generator (`bits`, `draws`, `initial`) in the place of Keras' own draws; `reset` starts it
anew. A layer or initialiser made without a seed gets the k-th of the seeds that follow from the experiment's; what
is drawn with no seed at all comes from a stream of its own. Once the experiment is seeded, a draw that cannot be made
the same everywhere is refused.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from importlib import import_module
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

import keras

from multilearn.errors import BackendError, ConfigurationError
from multilearn_keras import agreement, augmentation, mirrors, recurrent, vectorized
from multilearn_keras.bits import WORD, derive, key_of
from multilearn_keras.draws import Draws, advance

__all__ = ["install", "reset", "unseeded_name"]

_DRAWS = (
    *("beta", "binomial", "categorical", "dropout", "gamma"),
    *("normal", "randint", "shuffle", "truncated_normal", "uniform"),
)
_MARK = "multilearn_draws"
_TENSORFLOW = "keras.src.backend.tensorflow"
_SEED = "global_random_seed"

# What is replaced, and what is called in its place: with its parameters, for a draw with others is another draw.
_INSIDE = {
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
    **augmentation.INSIDE,
    **agreement.INSIDE,
    **mirrors.INSIDE,
    **recurrent.INSIDE,
    **vectorized.INSIDE,
}
# Where layers, initialisers and users reach the draws: one module, replaced once.
_CALLERS = ("backend:random", "initializers.random_initializers:random", "ops:random", "random.random:backend.random")


class _Streams:
    """The seeds that follow from the experiment's seed: for whatever is made without one, in the order it is made."""

    def __init__(self, n: int, *, chosen: bool) -> None:
        self._n = n
        self._made, self._unseeded = itertools.count(), itertools.count(1)
        self.chosen = chosen

    def next_seed(self) -> int:
        return derive(self._n, next(self._made))

    def next_unseeded(self) -> int:
        """The seed of a stream for draws with no seed: counted from the other end, so the two never meet."""
        return derive(self._n, WORD - next(self._unseeded))


class _Followed(int):
    """A seed of `keras.utils.set_random_seed`, which seeds Python's generator too, with streams that follow from it."""


_streams: _Streams | None = None


def install() -> None:
    """Replace the draws of Keras, its default seeds, and what initialisers compute with the framework. Idempotent.

    Raises `BackendError`, with nothing replaced, on a Keras whose inside is not as this library knows it.
    """
    if _exists("backend:random") and hasattr(_inside("backend:random"), _MARK):
        return
    _check_keras()
    vectorized.install()
    draws = _replace_draws(import_module(f"keras.src.backend.{keras.backend.backend()}"))

    seeds, generator = _inside("random.seed_generator"), _inside("random.seed_generator:SeedGenerator")
    seeds.make_default_seed = _default_seed
    seeds.global_seed_generator = _unseeded(seeds.global_seed_generator)
    generator.next = _advancing(generator.next)
    generator.__init__ = _portable_seed(generator.__init__)
    orthogonal = _inside("initializers.random_initializers:Orthogonal")
    orthogonal.__call__ = _on_the_host(orthogonal.__call__, draws)
    dynamic = _inside("utils.backend_utils:DynamicBackend")
    dynamic.__getattr__ = _replacing(dynamic.__getattr__)
    augmentation.adjust_layers(_is_chosen)
    agreement.install()
    mirrors.install()
    recurrent.install()


def reset(n: int) -> None:
    """Start every stream anew from seed `n` (0 <= n < 2**64): what is made and drawn next is what follows from it.

    From here on, what is not the same on every framework raises `ConfigurationError`.
    """
    global _streams
    if not 0 <= n < WORD * WORD:
        raise ConfigurationError("A seed is a number from 0 to 2**64 - 1.", received=n, remedy="Choose another.")
    install()
    _streams = _Streams(int(n), chosen=True)
    _inside("backend.common.global_state").set_global_attribute(unseeded_name(), None)


def _current() -> _Streams:
    global _streams
    if _streams is None or (not _streams.chosen and _is_seeded_again()):
        from multilearn.seeding import seed

        n = seed.current() if _streams is None else seed.drawn_again()
        _streams = _Streams(n, chosen=seed.origin() != "drawn")
        if _is_seeded_again():
            state = _inside("backend.common.global_state")
            state.set_global_attribute(_SEED, _Followed(state.get_global_attribute(_SEED)))
    return _streams


def _is_seeded_again() -> bool:
    """Whether `keras.utils.set_random_seed` was called since the streams were started."""
    found = _inside("backend.common.global_state").get_global_attribute(_SEED)
    return found is not None and not isinstance(found, _Followed)


def _is_chosen() -> bool:
    return _streams is not None and _streams.chosen


def _default_seed() -> int:
    """The seed of a layer or initialiser that was given none."""
    return _current().next_seed()


def _replace_draws(module: Any) -> Draws:
    draws = Draws(module, unseeded=lambda: _inside("random.seed_generator").global_seed_generator())
    for name in _DRAWS:
        draw = getattr(draws, name)
        setattr(module.random, name, draw if module.__name__ == _TENSORFLOW else _drawing_in_pipelines(draw))
    augmentation.replace_images(module, draws, _is_chosen)
    module.random.make_default_seed = _default_seed
    setattr(module.random, _MARK, draws)
    return draws


def _unseeded(original: Callable[[], Any]) -> Callable[[], Any]:
    """Keras' stream of unseeded draws, from a seed that no layer has."""

    state, name = _inside("backend.common.global_state"), unseeded_name()
    is_tracing = _inside("utils.jax_utils:is_in_jax_tracing_scope")

    @functools.wraps(original)
    def generator() -> Any:
        # While JAX traces, Keras refuses an unseeded draw; that is left to it.
        if state.get_global_attribute(name) is None and not is_tracing():
            state.set_global_attribute(name, keras.random.SeedGenerator(_current().next_unseeded()))
        return original()

    return generator


def unseeded_name() -> str:
    """What Keras keeps the generator of unseeded draws under; a constant since 3.13."""
    return getattr(_inside("random.seed_generator"), "GLOBAL_SEED_GENERATOR", "global_seed_generator")


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
            _draws_of(import_module(f"keras.src.backend.{self._backend}"))
        return found

    return attribute


def _drawing_in_pipelines(draw: Callable[..., Any]) -> Callable[..., Any]:
    """`keras.random` in a function that a tf.data pipeline maps draws with TensorFlow too, once for each element."""

    @functools.wraps(draw)
    def drawing(*args: Any, **kwargs: Any) -> Any:
        if mirrors.is_tracing_pipeline():
            return getattr(_draws_of(import_module(_TENSORFLOW)), draw.__name__)(*args, **kwargs)
        return draw(*args, **kwargs)

    return drawing


def _draws_of(module: Any) -> Draws:
    """The draws of a backend module of Keras, which has them from now on."""
    return getattr(module.random, _MARK, None) or _replace_draws(module)


def _inside(name: str) -> Any:
    """What Keras has at `module:attribute`, in the package that is not its public face."""
    return resolve_name(f"keras.src.{name}")


def _check_keras() -> None:
    wrong = [found for name, parameters in _INSIDE.items() if (found := _unlike(name, parameters))]
    wrong += [f"{name} missing" for name in _CALLERS if not _exists(name)]
    if not wrong and len({id(_inside(name)) for name in _CALLERS}) > 1:
        wrong = ["several random modules, where callers should share one"]
    if wrong:
        raise BackendError(
            "The random draws of this Keras cannot be replaced: its inside is not as this library knows it.",
            received=f"Keras {keras.__version__}: {', '.join(wrong)}",
            remedy="Install a Keras from 3.12 to 3.15, or a newer multilearn.",
        )


def _unlike(name: str, parameters: str) -> str | None:
    """What is wrong with what Keras has under `name`, which should be called with `parameters`."""
    if not _exists(name):
        return f"{name} missing"
    found = _inside(name)
    if not callable(found):
        return f"{name} no function"
    taken = " ".join(inspect.signature(found).parameters)
    return None if taken == parameters else f"{name}({taken.replace(' ', ', ')})"


def _exists(name: str) -> bool:
    """Whether `name` is there, and not inherited from elsewhere."""
    module, _, path = name.partition(":")
    owner, _, last = path.rpartition(".")
    try:
        return last in vars(_inside(f"{module}:{owner}" if owner else module))
    except (AttributeError, ImportError):
        return False
