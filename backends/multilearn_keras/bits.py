"""The generator behind every draw: 32 random bits as a function of a key and a position, the same on every framework.

    mix(x):  x ^= x >> 16;  x *= 0x7FEB352D;  x ^= x >> 15;  x *= 0x846CA68B;  x ^= x >> 16
    bits(i) = mix(mix(i * 0x9E3779B9 + k0) ^ (k0 * 0xC2B2AE35 + k1 * 0x85EBCA6B))          all modulo 2**32

The key (k0, k1) is the state of a Keras `SeedGenerator`: its seed, and how many draws it has made. The outer key keeps
streams apart whose k0 differ by a multiple of 0x9E3779B9, which would otherwise be shifted copies of one another.

There are two forms. `host_bits` is numpy, for integer seeds: initial weights. `traced_bits` is made of the framework's
own operations on signed 32-bit integers, which wrap around everywhere (JAX has no 64-bit ones by default), so that a
seed may be a tensor inside a compiled step. Both give the same bits.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["WORD", "Key", "derive", "host_bits", "key_of", "shift_right", "signed", "traced_bits"]

Key = tuple[int, int]

WORD = 2**32
_STEP, _OWN, _DRAW = 0x9E3779B9, 0xC2B2AE35, 0x85EBCA6B
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B
_HALF = 2**31
_LANE = 2**30


def signed(value: int) -> int:
    """`value` modulo 2**32, read as a signed 32-bit integer."""
    return (value + _HALF) % WORD - _HALF


def key_of(seed: int) -> Key:
    """The key of an integer seed: (seed, 0), as a `SeedGenerator` starts from it.

    A seed that not every framework can hold (negative, or above 31 bits) is first mixed down to 31 bits.
    """
    seed = int(seed)
    if 0 <= seed < _HALF:
        return seed, 0
    folded = 1 if seed < 0 else 0
    rest = abs(seed)
    while rest:
        folded = derive((rest % WORD) << 32 | folded, 0)
        rest //= WORD
    return folded, 0


def derive(n: int, k: int) -> int:
    """The seed, from 1 to 2**31 - 1, of the k-th stream of an experiment with seed `n` (0 <= n < 2**64)."""
    return int(host_bits(k, 1, (n % WORD, n // WORD))[0]) >> 1 or 1


def host_bits(start: int, count: int, key: Key, *, lane: int = 0) -> np.ndarray:
    """The bits at positions start, ..., start + count - 1: (count,) uint32. For lanes see `traced_bits`."""
    k0, k1 = key
    x = np.arange(count, dtype=np.uint32)
    x += np.uint32(start % WORD)
    x *= np.uint32(_STEP)
    x += np.uint32(k0 % WORD)
    _mix_in_place(x)
    x ^= np.uint32((k0 * _OWN + (k1 + lane * _LANE) * _DRAW) % WORD)
    _mix_in_place(x)
    return x


def _mix_in_place(x: np.ndarray) -> None:
    x ^= x >> np.uint32(16)
    x *= np.uint32(_FIRST)
    x ^= x >> np.uint32(15)
    x *= np.uint32(_SECOND)
    x ^= x >> np.uint32(16)


def traced_bits(backend: Any, shape: Sequence[Any], key: Any, *, lane: int = 0) -> Any:
    """The bits at the positions of an array of `shape`, in row-major order: a signed 32-bit tensor.

    `backend` is a backend module of Keras, `key` a (2,) int32 tensor; dimensions may be scalar tensors. A draw that
    needs several numbers per position takes lanes 1 to 3 for the others: lane L is draw k1 + L * 2**30, which no
    counter reaches.
    """
    k0, k1 = key[0], key[1]
    own = k0 * signed(_OWN) + k1 * signed(_DRAW)
    if lane:
        own = own + signed(lane * _LANE * _DRAW)
    x = backend.numpy.arange(math.prod(shape), dtype="int32") * signed(_STEP) + k0
    x = _mix(backend, _mix(backend, x) ^ own)
    return backend.numpy.reshape(x, tuple(shape))


def _mix(backend: Any, x: Any) -> Any:
    x = (x ^ shift_right(backend, x, 16)) * signed(_FIRST)
    x = (x ^ shift_right(backend, x, 15)) * signed(_SECOND)
    return x ^ shift_right(backend, x, 16)


def shift_right(backend: Any, x: Any, places: int) -> Any:
    """A logical shift of a signed tensor: the frameworks' own is arithmetic, so the copied sign bits are masked off."""
    # TensorFlow's tensors have no >> operator; where there is one it costs a fraction of the function.
    shift = operator.rshift if hasattr(x, "__rshift__") else backend.numpy.right_shift
    return shift(x, places) & ((1 << (32 - places)) - 1)
