"""The generator behind every draw: 32 random bits as a function of a key and a position, the same on every framework.

    own(k0, k1) = k0 * 0xC2B2AE35 + k1 * 0x85EBCA6B
    x  = (i + 1) * 0x9E3779B9 ^ own(k0, k1)
    x ^= x >> 17;  x *= 0xED5AD4BB;  x ^= k0
    x ^= x >> 11;  x *= 0xAC4C1B51
    x ^= x >> 15;  x *= 0x31848BAB
    x ^= x >> 14                                                all modulo 2**32; bits(i) = x

The key (k0, k1) is the state of a Keras `SeedGenerator`: its seed, and how many draws it has made. The rounds are those
of Wellons' `triple32` (https://nullprogram.com/blog/2018/07/31/) over a counter; every bit of the position and of both
words of the key changes half of the output. `own` and k0 together tell any two keys apart. They enter by exclusive or,
and apart from one another, because keys that were added to the counter would make windows of one sequence: streams
whose seeds differ by a multiple of the increment would be shifted copies.

There are two forms. `host_bits` is numpy, for integer seeds: initial weights. `traced_bits` and `traced_halves` are
made of the framework's own operations (see `words`), so that a seed may be a tensor inside a compiled step. All give
the same bits; `docs/randomness_report.md` has what TestU01 says of them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from multilearn_keras.random.rows import WHOLE_DRAW, DrawnPart, part_of
from multilearn_keras.random.words import HostWords, Words, signed, words_of

__all__ = [
    "WORD",
    "Key",
    "below",
    "derive",
    "host_bits",
    "host_halves",
    "key_of",
    "shift_right",
    "signed",
    "traced_bits",
    "traced_halves",
]

Key = tuple[int, int]

WORD = 2**32
_STEP, _OWN, _DRAW = 0x9E3779B9, 0xC2B2AE35, 0x85EBCA6B
_FIRST, _SECOND, _THIRD = 0xED5AD4BB, 0xAC4C1B51, 0x31848BAB
_HALF = 2**31
_LANE = 2**30


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
    x += np.uint32((start + 1) % WORD)
    own = (k0 * _OWN + (k1 + lane * _LANE) * _DRAW) % WORD
    return _scrambled(HostWords(), x, np.uint32(k0 % WORD), np.uint32(own))


def traced_bits(backend: Any, shape: Sequence[Any], key: Any, *, lane: int = 0) -> Any:
    """The bits at the positions of an array of `shape`, in row-major order: a signed 32-bit tensor.

    `backend` is a backend module of Keras, `key` a (2,) int32 tensor; dimensions may be scalar tensors. A draw that
    needs several numbers per position takes lanes 1 to 3 for the others: lane L adds L * 2**30 * 0x85EBCA6B to `own`,
    as a counter would that nothing reaches.
    """
    words = _words(backend)
    bits = _traced(words, math.prod(shape), key, lane, part_of(shape))
    return words.shaped(words.signed(bits), tuple(shape))


def traced_halves(backend: Any, shape: Sequence[Any], key: Any) -> Any:
    """16 bits for each position of an array of `shape`: a signed 16-bit tensor, at half the cost.

    Positions 2j and 2j + 1 have the lower and the upper half of the bits at position j.
    """
    words, size, part = _words(backend), math.prod(shape), part_of(shape)
    if part is not None and part.run is not None:
        # every run of a process's numbers may begin at either half of a word
        after = _positions(words, size, key, part)
        lower = words.signed(after) & 1
        pairs = words.shaped(words.halves(_of_positions(words, words.half_of_next(after), key, 0)), (size, 2))
        return words.shaped(backend.numpy.where(lower == 1, pairs[:, 0], pairs[:, 1]), tuple(shape))
    start = 0 if part is None else part.start
    odd = start % 2
    halves = words.halves(_traced(words, (odd + size + 1) // 2, key, 0, part and DrawnPart(start // 2)))
    if not (isinstance(size, int) and size % 2 == 0 and isinstance(odd, int) and odd == 0):
        halves = halves[odd : odd + size]
    return words.shaped(halves, tuple(shape))


def host_halves(count: int, key: Key) -> np.ndarray:
    """The first `count` of what `traced_halves` gives: (count,) int16."""
    return host_bits(0, (count + 1) // 2, key).astype("<u4").view("<i2")[:count]


def below(backend: Any, numbers: Any, limit: int) -> Any:
    """1 where the signed numbers of a draw, which are not used after this, are below `limit`, else 0: to be cast."""
    return _words(backend).below(numbers, limit)


def _traced(words: Words, count: Any, key: Any, lane: int, part: DrawnPart | None) -> Any:
    return _of_positions(words, _positions(words, count, key, part), key, lane)


def _positions(words: Words, count: Any, key: Any, part: DrawnPart | None) -> Any:
    """Of `count` numbers, one more than the position that each has in its draw."""
    x = words.count(count, key)
    return x if part is None or part is WHOLE_DRAW else words.placed(x, part.start, part.run, part.skipped)


def _of_positions(words: Words, x: Any, key: Any, lane: int) -> Any:
    k0, own = words.key(key, _OWN, _DRAW, lane * _LANE * _DRAW % WORD)
    return _scrambled(words, x, k0, own)


def _scrambled(words: HostWords, x: Any, k0: Any, own: Any) -> Any:
    x = words.xor(words.times(x, _STEP), own)
    x = words.times(words.fold(x, 17), _FIRST)
    x = words.xor(x, k0)
    x = words.times(words.fold(x, 11), _SECOND)
    x = words.times(words.fold(x, 15), _THIRD)
    return words.fold(x, 14)


def _words(backend: Any) -> Words:
    return words_of(backend.numpy.__name__.split(".")[-2])  # keras.src.backend.torch.numpy


def shift_right(backend: Any, x: Any, places: int) -> Any:
    """A logical shift of a signed tensor: the frameworks' own is arithmetic, so the copied sign bits are masked off."""
    # TensorFlow's tensors have no >> operator; if there is one it costs a fraction of the function.
    shift = operator.rshift if hasattr(x, "__rshift__") else backend.numpy.right_shift
    return shift(x, places) & ((1 << (32 - places)) - 1)
