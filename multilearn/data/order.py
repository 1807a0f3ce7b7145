"""The order of the items in an epoch: a function of the seed and the epoch, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["permutation"]


def permutation(items: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """A permutation of `range(items)`, (items,): the stable argsort of raw Philox bits keyed by (seed, epoch).

    numpy promises these bits for all its versions (not so the results of `Generator.permutation`).
    """
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(items)
    return np.argsort(bits, kind="stable")
