"""Sequences of random words as training draws them, and as somebody would choose them who looks for a weak key.

Each is endless, in blocks of uint32. Positions and keys vary within a block, so they are computed by a second form of
the generator, for arrays of keys; `check` holds it against the generator itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from multilearn_keras.random.bits import WORD, Key, derive, host_bits

__all__ = ["REVERSED", "STREAMS", "blocks", "check", "reverse", "words"]

BLOCK = 2**16
STEP, OWN, DRAW = 0x9E3779B9, 0xC2B2AE35, 0x85EBCA6B
STEP_INVERSE = pow(STEP, -1, WORD)
TRADE = OWN * pow(DRAW, -1, WORD) % WORD  # k1 lower by this where k0 is higher by 1: the same `own`
SEEDS = np.array([derive(n, k) for n in range(4096) for k in range(4)], dtype=np.int64)


def words(i: np.ndarray, k0: np.ndarray | int, k1: np.ndarray | int) -> np.ndarray:
    """The bits at positions `i` of the keys (k0, k1), which broadcast."""
    i, k0, k1 = (np.atleast_1d(np.asarray(part) % WORD).astype(np.uint32) for part in (i, k0, k1))
    x = (i + np.uint32(1)) * np.uint32(STEP) ^ (k0 * np.uint32(OWN) + k1 * np.uint32(DRAW))
    x = (x ^ x >> 17) * np.uint32(0xED5AD4BB) ^ k0
    x = (x ^ x >> 11) * np.uint32(0xAC4C1B51)
    x = (x ^ x >> 15) * np.uint32(0x31848BAB)
    return x ^ x >> 14


def check() -> None:
    """Raise `AssertionError` where `words` is not the generator."""
    keys: list[Key] = [(0, 0), (1, 0), (5, 7), (2**31 - 1, 12345), (STEP, 2**30), (7, WORD - 3)]
    for key in keys:
        assert np.array_equal(words(np.arange(1000), *key), host_bits(0, 1000, key)), key


def reverse(x: np.ndarray) -> np.ndarray:
    """The bits of each word in the opposite order: most tests look at the upper ones only."""
    for places, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F)):
        x = (x >> places & np.uint32(mask)) | (x & np.uint32(mask)) << places
    return x.byteswap()


def _halves(t: np.ndarray) -> np.ndarray:
    """The 16-bit numbers of dropout masks, two after one another as one word."""
    pairs = words(t, 11, 0)
    return pairs << 16 | pairs >> 16


Stream = Callable[[np.ndarray], np.ndarray]
# t counts the numbers from 0.
STREAMS: dict[str, tuple[str, Stream]] = {
    "positions": ("one key (1, 0), positions 0, 1, ...", lambda t: words(t, 1, 0)),
    "zero": ("one key (0, 0), positions 0, 1, ...", lambda t: words(t, 0, 0)),
    "halves": ("one key, the halves of each word exchanged, as dropout takes them", _halves),
    "seeds": ("position 0 of seeds 0, 1, ...", lambda t: words(t * 0, t, 0)),
    "seeds by four": ("positions 0 to 3 of seeds 0, 1, ...", lambda t: words(t % 4, t // 4, 0)),
    "draws": ("position 0 of draws 0, 1, ... of one seed", lambda t: words(t * 0, 1, t)),
    "draws by four": ("positions 0 to 3 of draws 0, 1, ... of one seed", lambda t: words(t % 4, 7, t // 4)),
    "layers and steps": (
        "4 positions of each of 256 layers seeded 0 to 255, step after step",
        lambda t: words(t % 4, t // 4 % 256, t // 1024),
    ),
    "experiments": (
        "4 positions of each of 4 layers of each of 4,096 experiments, seeds derived from 0 to 4,095, step after step",
        lambda t: words(t % 4, SEEDS[t // 4 % SEEDS.size], t // (4 * SEEDS.size)),
    ),
    "lanes": ("lanes 0 to 3 at each position", lambda t: words(t // 4, 3, t % 4 * 2**30)),
    "multiples of the increment": (
        "8 positions of seeds 0, s, 2s, ..., s = 0x9E3779B9",
        lambda t: words(t % 8, t // 8 * STEP % WORD, 0),
    ),
    "multiples of its inverse": (
        "8 positions of seeds 0, s, 2s, ..., s = the inverse of 0x9E3779B9",
        lambda t: words(t % 8, t // 8 * STEP_INVERSE % WORD, 0),
    ),
    "same own": (
        "8 positions of keys that share `own`: k0 up by 1, k1 down by 0xC2B2AE35 / 0x85EBCA6B",
        lambda t: words(t % 8, t // 8, -(t // 8) * TRADE % WORD),
    ),
    "highest bits": (
        "2 positions of keys that differ in the top bits of k0 and of k1 alone, next to one another",
        lambda t: words(t // 32 * 2 + t % 2, 9 + t // 2 % 4 * 2**29, t // 8 % 4 * 2**30),
    ),
}
REVERSED = ("positions", "seeds", "draws", "layers and steps", "lanes", "multiples of the increment", "same own")


def blocks(stream: Stream) -> Iterator[np.ndarray]:
    """The numbers of a stream, (65536,) at a time."""
    for block in itertools.count():
        yield stream(np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.int64))
