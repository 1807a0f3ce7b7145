"""Memory for copies of a model's state, used again from one checkpoint to the next.

The first touch of new memory costs far more than a copy into memory that is there.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["HostCopies"]

Array = np.ndarray[Any, Any]

_WORTHWHILE = 1 << 14
"""Bytes below which memory is not kept: of small arrays the allocator has some at hand."""


@dataclass(frozen=True)
class _Lent:
    """Memory, and the array over it that was handed out: dead when neither that nor a view of it is held any more."""

    memory: Array
    array: weakref.ref[Array]


class HostCopies:
    """Copies of arrays, by key, in memory of their own that nothing else holds: neither the source nor an earlier copy
    that is still in use.

    What is handed out is watched by weak references. As long as a copy, or any view of it, is held, its memory is
    left alone and the next copy gets new memory: a checkpoint that is still being written is never written over, and
    a record that is kept stays as it is. Memory is kept from the second round of copies on, so that a state that is
    copied once leaves nothing behind; at most one copy of each array is kept.
    """

    def __init__(self) -> None:
        self._rounds = 0
        self._lent: dict[str, _Lent] = {}

    def begin(self) -> None:
        """A new round: all arrays are about to be copied, each under its key."""
        self._rounds += 1

    def copied(self, key: str, source: Array, dtype: np.dtype[Any]) -> Array:
        """`source` as a contiguous array of `dtype`; of integers that do not fit, the lower bits."""
        size = source.size * dtype.itemsize
        if self._rounds < 2 or size < _WORTHWHILE:
            return np.array(source, order="C", copy=True).astype(dtype, copy=False)
        lent = self._lent.get(key)
        free = lent is not None and lent.array() is None and lent.memory.nbytes == size
        memory = lent.memory if lent is not None and free else np.empty(size, np.uint8)
        # views of arrays are views of the first one that is over something else than an array: this one
        root = np.frombuffer(memory.data, np.uint8)
        self._lent[key] = _Lent(memory, weakref.ref(root))
        copy: Array = root.view(dtype).reshape(source.shape)
        np.copyto(copy, source, casting="unsafe")
        return copy
