"""Seeds for whatever is made or drawn without one: they follow from the experiment's, on every framework alike.

A layer or initialiser made without a seed gets the k-th of them; what is drawn with no seed at all comes from a stream
of its own. Once the experiment is seeded, a draw that cannot be made the same everywhere is refused.
"""

from __future__ import annotations

import itertools

from multilearn.errors import ConfigurationError
from multilearn.seeding import seed as experiment
from multilearn_keras.keras_internals import get_global_attribute, set_global_attribute, unseeded_name
from multilearn_keras.random.bits import WORD, derive

__all__ = ["default_seed", "is_chosen", "reset", "unseeded_seed"]

_SEED = "global_random_seed"


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
    return _current().next_seed()


def unseeded_seed() -> int:
    """The seed of Keras' stream of draws with no seed, which no layer has."""
    return _current().next_unseeded()


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
