"""Seeds for whatever is made or drawn without one: they follow from the experiment's, on every framework alike.

A layer or initialiser made without a seed gets the k-th of them; what is drawn with no seed at all comes from a stream
of its own, which is recorded with the framework's own. Once the experiment is seeded, a draw that cannot be made the
same everywhere is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

from multilearn.checkpoint import HostTensor
from multilearn.errors import ConfigurationError, RecordError
from multilearn.seeding import seed as experiment
from multilearn_keras.keras_internals import (
    get_global_attribute,
    seed_generator,
    set_global_attribute,
    unseeded_name,
    unseeded_state,
)
from multilearn_keras.random.bits import WORD, derive
from multilearn_keras.random.pipelines import seed_tensorflow
from multilearn_keras.state.transfer import assign, to_host

__all__ = [
    "chosen_seed",
    "default_seed",
    "given_under",
    "is_chosen",
    "require_streams",
    "reset",
    "restore_streams",
    "seed_native",
    "streams",
    "streams_put_back",
    "unseeded_seed",
]

_SEED = "global_random_seed"


class _Streams:
    """The seeds that follow from the experiment's seed: for whatever is made without one, in the order it is made."""

    def __init__(self, n: int, *, chosen: bool) -> None:
        self.n, self.chosen = n, chosen
        self.made = itertools.count()
        self.unseeded: Iterator[int] = itertools.count(1)


class _Followed(int):
    """A seed of `keras.utils.set_random_seed`, which seeds Python's generator too, with streams that follow from it."""


_streams: _Streams | None = None
_given: dict[int, int] = {}


def reset(n: int) -> None:
    """Start every stream from seed `n` (0 <= n < 2**64): what is made and drawn next is what follows from it.

    From here on, what is not the same on every framework raises `ConfigurationError`.
    """
    global _streams
    if not 0 <= n < WORD * WORD:
        raise ConfigurationError("A seed is a number from 0 to 2**64 - 1.", received=n, remedy="Choose another.")
    _streams = _Streams(int(n), chosen=True)
    set_global_attribute(unseeded_name(), None)


def is_chosen() -> bool:
    """Whether the experiment is seeded."""
    return _streams is not None and _streams.chosen


def default_seed() -> int:
    """The seed of a layer or initialiser that was given none."""
    streams = _current()
    seed = derive(streams.n, next(streams.made))
    _given[seed] = streams.n
    return seed


def given_under(seed: object) -> int | None:
    """The seed of the experiment when a layer or initialiser was given this one; None if it chose it itself."""
    return _given.get(seed) if isinstance(seed, int) else None


def chosen_seed() -> int | None:
    """The seed of the experiment that was set; None if none was."""
    return _streams.n if _streams is not None and _streams.chosen else None


def unseeded_seed() -> int:
    """The seed of Keras' stream of draws with no seed: counted from the other end, so that no layer has it."""
    streams = _current()
    return derive(streams.n, WORD - next(streams.unseeded))


def _current() -> _Streams:
    global _streams
    if _streams is None or (not _streams.chosen and _is_seeded_again()):
        n = experiment.current() if _streams is None else experiment.drawn_again()
        _streams = _Streams(n, chosen=experiment.origin() != "drawn")
        if _is_seeded_again():
            set_global_attribute(_SEED, _Followed(get_global_attribute(_SEED)))
    return _streams


def _is_seeded_again() -> bool:
    """Whether `keras.utils.set_random_seed` was called since the streams were started."""
    seed = get_global_attribute(_SEED)
    return seed is not None and not isinstance(seed, _Followed)


def seed_native(n: int) -> None:
    """Start the framework's own stream from `n`: for a task that draws from it, past Keras. JAX has none.

    TensorFlow's starts from it under every framework, for pipelines of `tf.data`.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(n)
    seed_tensorflow(n)


def streams() -> dict[str, Any]:
    """Their state, as plain data and tensors for a record. A stream of TensorFlow's or JAX's own cannot be read."""
    unseeded = unseeded_state()
    framework, native = keras.backend.backend(), None
    if framework == "torch":
        import torch

        native = HostTensor.of(torch.get_rng_state().numpy().copy())
    return {
        "framework": framework,
        "unseeded": to_host(unseeded[0]) if unseeded else None,
        "native": native,
    }


def require_streams(state: Mapping[str, Any]) -> None:
    """Raise `RecordError` unless `restore_streams` can continue from it; nothing is touched."""
    try:
        framework, unseeded, native = state["framework"], state["unseeded"], state["native"]
        if unseeded is not None and (unseeded.dtype, unseeded.shape) != ("U32", (2,)):
            raise ValueError(f"{unseeded} as the state of Keras' stream")
        if native is not None and framework == keras.backend.backend():
            import torch

            torch.Generator().set_state(torch.from_numpy(native.array.copy()))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise RecordError(
            "The record of random streams must be as this version writes it.",
            received=f"{type(error).__name__}: {str(error)[:200]}",
            remedy="Resume from another checkpoint.",
        ) from error


def restore_streams(state: Mapping[str, Any]) -> None:
    """Continue from what `streams` returned; the framework's own stream only where it is the same framework."""
    if state["unseeded"] is not None:
        assign(seed_generator.global_seed_generator().state, state["unseeded"])
    if state["native"] is not None and state["framework"] == keras.backend.backend():
        import torch

        torch.set_rng_state(torch.from_numpy(state["native"].array.copy()))


@contextmanager
def streams_put_back() -> Iterator[None]:
    """At its end the framework's random streams are as they were; one of unseeded draws that has begun has not."""
    begun, before = _current().unseeded, streams()
    _current().unseeded, kept = itertools.tee(begun)
    try:
        yield
    finally:
        _current().unseeded = kept
        if before["unseeded"] is None:
            set_global_attribute(unseeded_name(), None)
        restore_streams(before)
