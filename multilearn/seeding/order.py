"""Everything random about data: functions of the seed, the epoch and a number, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["derived_seed", "item_stream", "permutation"]

_OF_ITEMS, _OF_SEEDS = 1, 2


def permutation(items: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """A permutation of `range(items)`, (items,): the stable argsort of raw Philox bits keyed by (seed, epoch).

    numpy promises these bits for all its versions (not so the results of `Generator.permutation`).
    """
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(items)
    order = np.argsort(bits)
    ordered = bits[order]
    # without ties every sort gives the same, and this one is faster
    return order if (ordered[1:] != ordered[:-1]).all() else np.argsort(bits, kind="stable")


def item_stream(seed: int, epoch: int, item: int) -> np.random.Generator:
    """The random numbers of one item in one epoch, in whichever process they are drawn."""
    return np.random.Generator(_philox(seed, epoch, item, _OF_ITEMS))


def derived_seed(seed: int, epoch: int, number: int = 0) -> int:
    """A seed for a generator of another library, below 2**63."""
    return int(_philox(seed, epoch, number, _OF_SEEDS).random_raw()) >> 1


def _philox(seed: int, epoch: int, number: int, purpose: int) -> np.random.Philox:
    # the upper half of the counter: no stream runs into another one, nor into the bits of the permutation
    counter = np.array([0, 0, number, purpose], np.uint64)
    return np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=counter)
