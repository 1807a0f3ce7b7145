"""What every draw begins with: a seed becomes a key, a shape the numbers in it, and both random bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeGuard

import keras
import numpy as np

from multilearn_keras.random.bits import host_bits, key_of, shift_right, signed, traced_bits
from multilearn_keras.random.pipelines import on_backend
from multilearn_keras.random.rows import part_of

__all__ = ["DrawSource", "dtype_of", "is_number", "on_host", "working"]


class DrawSource:
    """Random bits over one backend module of Keras.

    The key of an integer seed is known on the host; any other seed (a `SeedGenerator`, a (2,) tensor, None for the
    generator that `unseeded` returns) has a tensor for a key, which never becomes a Python number.
    """

    def __init__(self, backend: Any, unseeded: Callable[[], keras.random.SeedGenerator]) -> None:
        self.backend, self._unseeded = backend, unseeded

    def key(self, seed: Any) -> Any:
        """The key on the host of an integer seed; of any other seed a (2,) int32 tensor."""
        if isinstance(seed, (int, np.integer)):
            return key_of(int(seed))
        if seed is None:
            seed = self._unseeded()
        if isinstance(seed, keras.random.SeedGenerator):
            seed = on_backend(seed, self.backend).next()
        return self.backend.cast(seed, "int32")

    def as_tensor(self, key: Any) -> Any:
        """Any key as a (2,) int32 tensor."""
        return self.tensor(np.array([signed(part) for part in key], np.int32)) if isinstance(key, tuple) else key

    def shape(self, shape: Any) -> tuple[Any, ...]:
        """Integers as Python's, whatever else (tensors, symbolic dimensions) as it is."""
        if self.backend.is_tensor(shape):
            shape = [shape[axis] for axis in range(shape.shape[0])]
        return tuple(int(size) if isinstance(size, (int, np.integer)) else size for size in shape)

    def bits(self, shape: tuple[Any, ...], key: Any, lane: int) -> Any:
        """Random bits as a signed 32-bit tensor."""
        if on_host(key, shape):
            drawn = host_bits(0, math.prod(shape), key, lane=lane)
            return self.tensor(drawn.view(np.int32).reshape(shape))
        return traced_bits(self.backend, shape, self.as_tensor(key), lane=lane)

    def unit(self, shape: tuple[Any, ...], key: Any, lane: int, dtype: str) -> Any:
        """Uniform in [0, 1): a float32 of 24 bits, or a float64 of 53."""
        bits, cast = self.bits(shape, key, lane), self.backend.cast
        if working(dtype) == "float32":
            return cast(shift_right(self.backend, bits, 8), "float32") * 2.0**-24
        high = cast(shift_right(self.backend, bits, 5), "float64")
        low = cast(shift_right(self.backend, self.bits(shape, key, lane + 2), 6), "float64")
        return (high * 2.0**26 + low) * 2.0**-53

    def tensor(self, array: np.ndarray) -> Any:
        """The array, in the framework."""
        return self.backend.convert_to_tensor(array)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is known on the host."""
    return isinstance(value, Real)


def on_host(key: Any, shape: tuple[Any, ...]) -> bool:
    """Whether the bits of this key, in this shape, are: never of a draw that several processes share."""
    # a shape may be known in one step and open in another, and each asks as often
    return isinstance(key, tuple) and part_of(shape) is None and all(isinstance(size, int) for size in shape)


def dtype_of(dtype: str | None) -> str:
    """What a draw without a type has."""
    return str(keras.backend.standardize_dtype(dtype or keras.config.floatx()))


def working(dtype: str) -> str:
    """What it is computed in."""
    return "float64" if dtype == "float64" else "float32"
