"""Arithmetic on unsigned 32-bit words, which wraps around: on the host and in every framework.

A method may work in the place of its first argument, which is not used after it. Constants are Python's integers, keys
are words: scalars of the framework.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

__all__ = ["Arithmetic", "HostWords", "Words", "signed", "words_of"]

_LOW = 2**32 - 1


class Arithmetic(Protocol):
    """What the rounds of the generator in `bits` are made of."""

    def times(self, x: Any, constant: int) -> Any: ...

    def xor(self, x: Any, y: Any) -> Any: ...

    def fold(self, x: Any, places: int) -> Any:
        """x ^ (x >> places)."""


class Words(Arithmetic, Protocol):
    """And what they begin and end with."""

    def count(self, n: Any, like: Any) -> Any:
        """1, 2, ..., n: (n,) words, on the device of the tensor `like`."""

    def key(self, key: Any, own: int, draw: int, offset: int) -> tuple[Any, Any]:
        """Of the (2,) int32 tensor (k0, k1), which is left as it is: k0 and own * k0 + draw * k1 + offset."""

    def signed(self, x: Any) -> Any:
        """The words as int32."""

    def halves(self, x: Any) -> Any:
        """The lower, then the upper half of each of the (n,) words: (2n,) int16."""

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any: ...

    def below(self, x: Any, limit: int) -> Any:
        """Where the signed numbers `x` are less than `limit`: a type in which that is 1 and all else 0."""


class HostWords:
    """In numpy, in place."""

    def times(self, x: np.ndarray, constant: int) -> np.ndarray:
        x *= np.uint32(constant)
        return x

    def xor(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x ^= y
        return x

    def fold(self, x: np.ndarray, places: int) -> np.ndarray:
        x ^= x >> np.uint32(places)
        return x


class _TorchWords:
    """In signed integers, in place: where unsigned ones lack half of the operations. A shift copies the sign bit."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self._constants: dict[int, Any] = {}
        self._halves = torch.int16

    def count(self, n: Any, like: Any) -> Any:
        return self._torch.arange(1, n + 1, dtype=self._torch.int32, device=like.device)

    def times(self, x: Any, constant: int) -> Any:
        return x.mul_(self._constant(constant, x))

    def xor(self, x: Any, y: Any) -> Any:
        return x.bitwise_xor_(y)

    def fold(self, x: Any, places: int) -> Any:
        copied = x >> self._constant(places, x)
        return x.bitwise_xor_(copied.bitwise_and_(self._constant(_LOW >> places, x)))

    def key(self, key: Any, own: int, draw: int, offset: int) -> tuple[Any, Any]:
        k0, k1 = key.unbind()
        mixed = (k0 * self._constant(own, key)).add_(k1 * self._constant(draw, key))
        return k0, mixed.add_(self._constant(offset, key)) if offset else mixed

    def signed(self, x: Any) -> Any:
        return x

    def halves(self, x: Any) -> Any:
        return x.view(self._halves)

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return x.view(shape)

    def below(self, x: Any, limit: int) -> Any:
        return x.lt_(limit)  # a third of the time of a comparison to booleans, and of casting those

    def _constant(self, value: int, like: Any) -> Any:
        """A scalar tensor that is made once, where PyTorch would make one of the number at every call: a third of the
        time of a small draw. Tracing with fake tensors has no place for a real one.
        """
        if type(like) is not self._torch.Tensor:
            return signed(value)
        if value not in self._constants:
            made = self._torch.from_numpy(np.array(value & _LOW, np.uint32).view(np.int32))
            if type(made) is not self._torch.Tensor:
                return signed(value)
            self._constants[value] = made
        return self._constants[value]


class _TensorFlowWords:
    """In unsigned integers, whose shifts need no mask."""

    def __init__(self) -> None:
        import tensorflow

        self._tf = tensorflow

    def count(self, n: Any, like: Any) -> Any:
        return self._unsigned(self._tf.range(1, n + 1, dtype="int32"))

    def times(self, x: Any, constant: int) -> Any:
        return x * self._constant(constant)

    def xor(self, x: Any, y: Any) -> Any:
        return self._tf.bitwise.bitwise_xor(x, y)

    def fold(self, x: Any, places: int) -> Any:
        return self.xor(x, self._tf.bitwise.right_shift(x, self._constant(places)))

    def key(self, key: Any, own: int, draw: int, offset: int) -> tuple[Any, Any]:
        k0, k1 = self._tf.unstack(self._unsigned(key), 2)
        mixed = k0 * self._constant(own) + k1 * self._constant(draw)
        return k0, mixed + self._constant(offset) if offset else mixed

    def signed(self, x: Any) -> Any:
        return self._tf.bitcast(x, "int32")

    def halves(self, x: Any) -> Any:
        return self._tf.reshape(self._tf.bitcast(x, "int16"), [-1])

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return self._tf.reshape(x, shape)

    def below(self, x: Any, limit: int) -> Any:
        return x < limit

    def _unsigned(self, x: Any) -> Any:
        return self._tf.bitcast(x, "uint32")

    def _constant(self, value: int) -> Any:
        return self._tf.constant(value & _LOW, "uint32")


class _JaxWords:
    """In unsigned integers."""

    def __init__(self) -> None:
        import jax

        self._jax = jax

    def count(self, n: Any, like: Any) -> Any:
        return self._jax.numpy.arange(1, n + 1, dtype="uint32")

    def times(self, x: Any, constant: int) -> Any:
        return x * np.uint32(constant)

    def xor(self, x: Any, y: Any) -> Any:
        return x ^ y

    def fold(self, x: Any, places: int) -> Any:
        return x ^ (x >> np.uint32(places))

    def key(self, key: Any, own: int, draw: int, offset: int) -> tuple[Any, Any]:
        words = self._jax.lax.bitcast_convert_type(key, "uint32")
        return words[0], words[0] * np.uint32(own) + words[1] * np.uint32(draw) + np.uint32(offset)

    def signed(self, x: Any) -> Any:
        return self._jax.lax.bitcast_convert_type(x, "int32")

    def halves(self, x: Any) -> Any:
        return self._jax.lax.bitcast_convert_type(x, "int16").reshape(-1)

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return x.reshape(shape)

    def below(self, x: Any, limit: int) -> Any:
        return x < limit


@functools.cache
def words_of(framework: str) -> Words:
    """The words of a framework: "torch", "tensorflow" or "jax"."""
    kinds: dict[str, Callable[[], Words]] = {"torch": _TorchWords, "tensorflow": _TensorFlowWords, "jax": _JaxWords}
    return kinds[framework]()


def signed(value: int) -> int:
    """`value` modulo 2**32, read as a signed 32-bit integer."""
    return (value + 2**31) % 2**32 - 2**31
