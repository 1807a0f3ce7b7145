"""Arithmetic on unsigned 32-bit words, which wraps around: on the host and in every framework.

A method may work in the place of its first argument, which is not used after it. Constants are Python's integers, keys
are words: scalars of the framework.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

__all__ = ["HostWords", "Words", "signed", "words_of"]

_LOW = 2**32 - 1


class HostWords:
    """What the rounds of the generator in `bits` are made of: by operators, which work in place on arrays of numpy."""

    def times(self, x: Any, constant: int) -> Any:
        x *= self._constant(constant, x)
        return x

    def xor(self, x: Any, y: Any) -> Any:
        x ^= y
        return x

    def fold(self, x: Any, places: int) -> Any:
        """x ^ (x >> places)."""
        return self.xor(x, x >> self._constant(places, x))

    def _constant(self, value: int, like: Any) -> Any:
        return np.uint32(value & _LOW)


class Words(HostWords):
    """And what they begin and end with: of JAX, and of the others as far as they do it alike."""

    def count(self, n: Any, like: Any) -> Any:
        """1, 2, ..., n: (n,) words, on the device of the tensor `like`."""
        import jax

        return jax.numpy.arange(1, n + 1, dtype="uint32")

    def key(self, key: Any, own: int, draw: int, offset: int) -> tuple[Any, Any]:
        """Of the (2,) int32 tensor (k0, k1), which is left as it is: k0 and own * k0 + draw * k1 + offset."""
        k0, k1 = self._parts(key)
        mixed = k0 * self._constant(own, key)
        mixed += k1 * self._constant(draw, key)
        if offset:
            mixed += self._constant(offset, key)
        return k0, mixed

    def signed(self, x: Any) -> Any:
        """The words as int32."""
        return self._bitcast(x, "int32")

    def halves(self, x: Any) -> Any:
        """The lower, then the upper half of each of the (n,) words: (2n,) int16."""
        return self.shaped(self._bitcast(x, "int16"), (-1,))

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return x.reshape(shape)

    def placed(self, x: Any, start: Any, run: Any, skipped: Any) -> Any:
        """The counted words 1, 2, ... as they are if `start` numbers come before them, and `skipped` after every `run`
        of them (unless that is None)."""
        if run is not None:
            x = x + ((x - 1) // run) * skipped
        return x + (signed(start) if isinstance(start, int) else start)

    def half_of_next(self, x: Any) -> Any:
        """(x + 1) / 2, rounded down."""
        return (x + 1) // 2

    def below(self, x: Any, limit: int) -> Any:
        """Where the signed numbers `x` are less than `limit`: a type in which that is 1 and all else 0."""
        return x < limit

    def _parts(self, key: Any) -> Any:
        return self._bitcast(key, "uint32")

    def _bitcast(self, x: Any, dtype: str) -> Any:
        import jax

        return jax.lax.bitcast_convert_type(x, dtype)


class _TensorFlowWords(Words):
    def __init__(self) -> None:
        import tensorflow

        self._tf = tensorflow

    def fold(self, x: Any, places: int) -> Any:
        return self.xor(x, self._tf.bitwise.right_shift(x, self._constant(places, x)))

    def count(self, n: Any, like: Any) -> Any:
        return self._bitcast(self._tf.range(1, n + 1, dtype="int32"), "uint32")

    def shaped(self, x: Any, shape: tuple[Any, ...]) -> Any:
        return self._tf.reshape(x, shape)

    def placed(self, x: Any, start: Any, run: Any, skipped: Any) -> Any:
        return self._bitcast(super().placed(self.signed(x), start, run, skipped), "uint32")

    def half_of_next(self, x: Any) -> Any:
        return self._bitcast(super().half_of_next(self.signed(x)), "uint32")

    def _parts(self, key: Any) -> Any:
        return self._tf.unstack(self._bitcast(key, "uint32"), 2)

    def _bitcast(self, x: Any, dtype: str) -> Any:
        return self._tf.bitcast(x, dtype)

    def _constant(self, value: int, like: Any) -> Any:
        return self._tf.constant(value & _LOW, "uint32")


class _TorchWords(Words):
    """In signed integers, in place: unsigned ones lack half of the operations. A shift copies the sign bit."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        self._constants: dict[int, Any] = {}

    def xor(self, x: Any, y: Any) -> Any:
        return x.bitwise_xor_(y)

    def fold(self, x: Any, places: int) -> Any:
        copied = x >> self._constant(places, x)
        return x.bitwise_xor_(copied.bitwise_and_(self._constant(_LOW >> places, x)))

    def count(self, n: Any, like: Any) -> Any:
        return self._torch.arange(1, n + 1, dtype=self._torch.int32, device=like.device)

    def signed(self, x: Any) -> Any:
        return x

    def halves(self, x: Any) -> Any:
        return x.view(self._torch.int16)

    def below(self, x: Any, limit: int) -> Any:
        return x.lt_(limit)  # a third of the time of a comparison to booleans, and of casting those

    def _parts(self, key: Any) -> Any:
        return key.unbind()

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


@functools.cache
def words_of(framework: str) -> Words:
    """The words of a framework: "torch", "tensorflow" or "jax"."""
    return {"torch": _TorchWords, "tensorflow": _TensorFlowWords, "jax": Words}[framework]()


def signed(value: int) -> int:
    """`value` modulo 2**32, read as a signed 32-bit integer."""
    return (value + 2**31) % 2**32 - 2**31
