"""`multilearn.protocols.ArrayOps` on Keras, with result types that are the same on every framework.

`keras.ops` alone will not do: `one_hot` on torch and `bincount` on JAX cannot be traced, integer means are float64 on
TensorFlow only, and sums of small integers stay small on some.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

__all__ = ["KerasOps"]

Tensor = Any


class KerasOps:
    """See `ArrayOps`."""

    def int32(self, x: Any) -> Tensor:
        return ops.cast(x, "int32")

    def float32(self, x: Any) -> Tensor:
        return ops.cast(x, "float32")

    def sum(self, x: Any, axis: int | None = None) -> Tensor:
        x = ops.convert_to_tensor(x)
        kind = "float32" if keras.backend.is_float_dtype(x.dtype) else "int32"
        # the sum of int32 is int64 on torch
        return ops.cast(ops.sum(ops.cast(x, kind), axis=axis), kind)

    def size(self, x: Any) -> Tensor:
        if all(isinstance(length, int) for length in x.shape):
            return ops.convert_to_tensor(math.prod(x.shape), dtype="int32")
        return ops.cast(ops.size(x), "int32")

    def argmax(self, x: Any, axis: int = -1) -> Tensor:
        return ops.cast(ops.argmax(_ordered(x, math.inf), axis=axis), "int32")

    def top_k(self, x: Any, k: int) -> Tensor:
        # top_k of the frameworks break ties differently; a stable sort of the negated values does not
        return ops.cast(_stable_argsort(ops.negative(_ordered(_fixed(x), -math.inf)))[..., :k], "int32")

    def one_hot(self, ids: Any, classes: int) -> Tensor:
        return ops.cast(
            ops.equal(ops.expand_dims(ops.cast(ids, "int32"), -1), ops.arange(classes, dtype="int32")), "float32"
        )

    def tally(self, ids: Any, classes: int) -> Tensor:
        ids = ops.reshape(ops.cast(ids, "int32"), (-1,))
        # frameworks disagree about ids out of range: they share one more segment, which is cut off
        known = ops.logical_and(ops.greater_equal(ids, 0), ops.less(ids, classes))
        return _counted(ops.where(known, ids, classes), classes + 1)[:classes]

    def take(self, x: Any, index: int) -> Tensor:
        return x[..., index]

    def equal(self, a: Any, b: Any) -> Tensor:
        return ops.equal(a, b)

    def greater(self, a: Any, b: Any) -> Tensor:
        return ops.greater(a, b)

    def both(self, a: Any, b: Any) -> Tensor:
        return ops.logical_and(a, b)

    def either(self, a: Any, b: Any) -> Tensor:
        return ops.logical_or(a, b)

    def invert(self, a: Any) -> Tensor:
        return ops.logical_not(a)

    def where(self, condition: Any, a: Any, b: Any) -> Tensor:
        return _fixed(ops.where(condition, a, b))

    def add(self, a: Any, b: Any) -> Tensor:
        return _fixed(ops.add(a, b))

    def subtract(self, a: Any, b: Any) -> Tensor:
        return _fixed(ops.subtract(a, b))

    def multiply(self, a: Any, b: Any) -> Tensor:
        return _fixed(ops.multiply(a, b))

    def divide(self, a: Any, b: Any) -> Tensor:
        return ops.divide(self.float32(a), self.float32(b))

    def absolute(self, x: Any) -> Tensor:
        return _fixed(ops.absolute(x))

    def exp(self, x: Any) -> Tensor:
        return ops.exp(self.float32(x))

    def log(self, x: Any) -> Tensor:
        return ops.log(self.float32(x))

    def softmax(self, x: Any) -> Tensor:
        return ops.softmax(self.float32(x), axis=-1)

    def log_softmax(self, x: Any) -> Tensor:
        return ops.log_softmax(self.float32(x), axis=-1)

    def sigmoid(self, x: Any) -> Tensor:
        return ops.sigmoid(self.float32(x))

    def expand_dims(self, x: Any, axis: int) -> Tensor:
        return ops.expand_dims(x, axis)

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Tensor:
        return ops.reshape(x, shape)


def _ordered(x: Tensor, not_a_number: float) -> Tensor:
    """Numbers that are equal where numpy says so: for Keras' `argmax` on TensorFlow and JAX, -0.0 is less than 0.0.

    TensorFlow puts NaN anywhere: it stands where `not_a_number` does.
    """
    if keras.backend.backend() == "torch" or not keras.backend.is_float_dtype(x.dtype):
        return x
    x = ops.where(ops.equal(x, 0), ops.zeros_like(x), x)
    return ops.where(ops.equal(x, x), x, not_a_number) if keras.backend.backend() == "tensorflow" else x


def _counted(ids: Tensor, segments: int) -> Tensor:
    """How often each id occurs, from 0 to segments - 1: there is no other."""
    if keras.backend.backend() == "torch":
        import torch

        zeros = torch.zeros(segments, dtype=torch.int32, device=ids.device)
        return zeros.index_add(0, ids, torch.ones_like(ids))
    return ops.segment_sum(ops.ones_like(ids), ids, segments)


def _stable_argsort(x: Tensor) -> Tensor:
    if keras.backend.backend() == "torch":
        import torch

        return torch.argsort(x, dim=-1, stable=True)
    return ops.argsort(x, axis=-1)


def _fixed(x: Tensor) -> Tensor:
    kind = keras.backend.standardize_dtype(x.dtype)
    if kind == "bool":
        return x
    return ops.cast(x, "float32" if keras.backend.is_float_dtype(kind) else "int32")
