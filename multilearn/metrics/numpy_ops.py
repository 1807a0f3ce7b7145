"""`ArrayOps` on numpy: for backends without a framework, and the reference for those with one."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NumpyOps"]

Array = np.ndarray[Any, Any]


class NumpyOps:
    """See `ArrayOps`; plain numpy with its fixed result types."""

    def int32(self, x: Any) -> Array:
        return np.asarray(x).astype(np.int32)

    def float32(self, x: Any) -> Array:
        return np.asarray(x).astype(np.float32)

    def sum(self, x: Any, axis: int | None = None) -> Array:
        x = np.asarray(x)
        kind = np.float32 if x.dtype.kind == "f" else np.int32
        return np.asarray(np.sum(x.astype(kind), axis=axis, dtype=kind))

    def size(self, x: Any) -> Array:
        return np.asarray(np.size(x), np.int32)

    def argmax(self, x: Any, axis: int = -1) -> Array:
        return np.asarray(np.argmax(x, axis=axis), np.int32)

    def top_k(self, x: Any, k: int) -> Array:
        return np.asarray(np.argsort(-_fixed(np.asarray(x)), axis=-1, kind="stable")[..., :k], np.int32)

    def one_hot(self, ids: Any, classes: int) -> Array:
        return np.asarray(np.asarray(ids)[..., None] == np.arange(classes), np.float32)

    def tally(self, ids: Any, classes: int) -> Array:
        ids = np.ravel(ids)
        return np.bincount(ids[(ids >= 0) & (ids < classes)], minlength=classes).astype(np.int32)

    def take(self, x: Any, index: int) -> Array:
        return np.asarray(np.asarray(x)[..., index])

    def equal(self, a: Any, b: Any) -> Array:
        return np.asarray(np.equal(a, b))

    def greater(self, a: Any, b: Any) -> Array:
        return np.asarray(np.greater(a, b))

    def both(self, a: Any, b: Any) -> Array:
        return np.asarray(np.logical_and(a, b))

    def either(self, a: Any, b: Any) -> Array:
        return np.asarray(np.logical_or(a, b))

    def invert(self, a: Any) -> Array:
        return np.asarray(np.logical_not(a))

    def where(self, condition: Any, a: Any, b: Any) -> Array:
        return _fixed(np.where(condition, a, b))

    def add(self, a: Any, b: Any) -> Array:
        return _fixed(np.add(a, b))

    def subtract(self, a: Any, b: Any) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            return _fixed(np.subtract(a, b))

    def multiply(self, a: Any, b: Any) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            return _fixed(np.multiply(a, b))

    def divide(self, a: Any, b: Any) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.divide(self.float32(a), self.float32(b)))

    def absolute(self, x: Any) -> Array:
        return _fixed(np.abs(x))

    def exp(self, x: Any) -> Array:
        return np.asarray(np.exp(self.float32(x)))

    def log(self, x: Any) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.float32(x)))

    def softmax(self, x: Any) -> Array:
        x = self.float32(x)
        with np.errstate(invalid="ignore"):
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            return np.asarray(e / e.sum(axis=-1, keepdims=True))

    def log_softmax(self, x: Any) -> Array:
        x = self.float32(x)
        x = x - x.max(axis=-1, keepdims=True)
        return np.asarray(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))

    def sigmoid(self, x: Any) -> Array:
        x = self.float32(x)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.exp(-np.logaddexp(np.float32(0), -x)))

    def expand_dims(self, x: Any, axis: int) -> Array:
        return np.expand_dims(x, axis)

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Array:
        return np.reshape(x, shape)


def _fixed(x: Array) -> Array:
    """Numbers as the protocol fixes them: float32 and int32; bools stay."""
    kinds = {"f": np.float32, "i": np.int32, "u": np.int32}
    return x.astype(kinds[x.dtype.kind]) if x.dtype.kind in kinds else x
