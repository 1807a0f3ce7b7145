"""Streams of random bits whose keys were chosen to be related: a second of what `nox -s randomness` looks at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from multilearn_keras.random.bits import derive, host_bits

WORD, STEP = 2**32, 0x9E3779B9
INVERSE, TRADE = pow(STEP, -1, WORD), 0xC2B2AE35 * pow(0x85EBCA6B, -1, WORD) % WORD
SIZE = 4096

KEYS: dict[str, list[tuple[int, int]]] = {
    "neighbouring seeds": [(s, 0) for s in range(32)],
    "neighbouring draws": [(1, t) for t in range(32)],
    "multiples of the increment": [(s * STEP % WORD, 0) for s in range(32)],
    "multiples of its inverse": [(s * INVERSE % WORD, 0) for s in range(32)],
    "one own": [(s, -s * TRADE % WORD) for s in range(32)],
    "seed against draw": [(s, 31 - s) for s in range(32)],
    "single bits of the seed": [(0, 0), *((1 << bit, 0) for bit in range(32))],
    "single bits of the draw": [(0, 0), *((0, 1 << bit) for bit in range(32))],
    "lanes": [(s, t + lane * 2**30) for s in range(2) for t in range(4) for lane in range(4)],
    "derived": [(derive(n, k), 0) for n in range(8) for k in range(4)],
}


@pytest.fixture(params=KEYS.values(), ids=list(KEYS))
def streams(request: pytest.FixtureRequest) -> np.ndarray:
    """(keys, positions) uint32."""
    return np.array([host_bits(0, SIZE, key) for key in request.param])


def test_streams_overlap_nowhere(streams: np.ndarray) -> None:
    """Numbers they have in common, at any positions, are as rare as chance has it."""
    by_chance = len(streams) * (len(streams) - 1) / 2 * SIZE**2 / WORD
    shared = streams.size - np.unique(streams).size
    assert shared <= stats.poisson.isf(1e-6, by_chance)


def test_bits_are_set_half_of_the_time_and_differ_half_of_the_time_between_streams(streams: np.ndarray) -> None:
    neighbours, first = streams[1:] ^ streams[:-1], streams[1:] ^ streams[0]
    bits = np.unpackbits(np.concatenate([streams, neighbours, first]).view(np.uint8), axis=1)
    counts = bits.reshape(-1, SIZE, 32).sum(axis=1)
    assert stats.binom.cdf(counts.min(), SIZE, 0.5) > 1e-9
    assert stats.binom.sf(counts.max(), SIZE, 0.5) > 1e-9


@pytest.mark.parametrize("lowest", [0, 8, 16, 24])
def test_bytes_that_follow_one_another_take_all_pairs_of_values_evenly(streams: np.ndarray, lowest: int) -> None:
    """Within a stream, and from a stream to the next at one position."""
    byte = (streams >> np.uint32(lowest) & np.uint32(0xFF)).astype(np.int64)
    for one, other in ((byte[:, :-1], byte[:, 1:]), (byte[:-1], byte[1:])):
        counts = np.bincount((one << 4 | other >> 4).reshape(-1), minlength=4096)
        assert 1e-6 < stats.chisquare(counts).pvalue < 1 - 1e-6


def test_streams_are_uncorrelated(streams: np.ndarray) -> None:
    correlation = np.corrcoef(streams.astype(np.float64)) - np.eye(len(streams))
    assert np.abs(correlation).max() < stats.norm.isf(1e-9) / SIZE**0.5
