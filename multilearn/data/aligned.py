"""Memory for batches, at addresses where frameworks can use it without a copy of their own.

XLA and Eigen want 64 bytes, numpy gives 16. JAX and TensorFlow copy what is not where they want it into memory that is
new each time, which costs more than to gather the batch did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

__all__ = ["copied", "empty", "in_new_memory", "is_in_new_memory", "is_lent", "taken"]

Array = np.ndarray[Any, Any]

_ALIGNED = 64
_WORTHWHILE = 1 << 13
"""Bytes below which an array is anywhere: to copy it costs less than to look where it is."""

Iterate = TypeVar("Iterate", bound=Callable[..., Any])
_never_reused: set[Any] = set()


def in_new_memory(iterate: Iterate) -> Iterate:
    """Says of the `iterate` of a loader that it yields batches in memory that is not written into afterwards: copies,
    or arrays made for one batch. One that overrides it has to say so itself."""
    _never_reused.add(iterate)
    return iterate


def is_in_new_memory(loader: Any) -> bool:
    """Whether that is so of the batches that a loader yields."""
    return getattr(loader.iterate, "__func__", None) in _never_reused


class BatchMemory(np.ndarray[Any, Any]):
    """Bytes that were made for one array of a batch, and are never written into once that was handed out."""


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """An array of its own, with any content."""
    size = dtype.itemsize * math.prod(shape)
    if size < _WORTHWHILE or dtype.hasobject:
        return np.empty(shape, dtype)
    memory = BatchMemory((size + _ALIGNED,), np.uint8)
    return np.ndarray(shape, dtype, memory.data, -memory.ctypes.data % _ALIGNED)


def is_lent(array: Array) -> bool:
    """Whether it is an array made here, as it was made: aligned, contiguous, and not written into by anybody."""
    return type(array.base) is BatchMemory


def copied(array: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """A copy in C order, as `dtype` if that is given; of numbers that do not fit, what numpy makes of them."""
    found = empty(array.shape, dtype or array.dtype)
    np.copyto(found, array, casting="unsafe")
    return found


def taken(array: Array, rows: Array) -> Array:
    """The rows of these numbers, each in [0, len(array)), as `array[rows]`."""
    shape = (len(rows), *array.shape[1:])
    if array.dtype.itemsize * math.prod(shape) < _WORTHWHILE:
        return np.asarray(array[rows])
    # if it is to raise for a wrong number, numpy takes into a buffer first
    return np.take(array, rows, axis=0, out=empty(shape, array.dtype), mode="clip")
