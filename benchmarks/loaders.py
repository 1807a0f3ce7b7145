"""What a batch costs to load from arrays in memory, next to the framework's own loader, in microseconds.

    nox -s bench -- loaders [torch | tensorflow]

`peer`: torch's `DataLoader` of a `TensorDataset` (no workers), or `tf.data` (`from_tensor_slices`, `shuffle` over all
items, `batch`). Whole epochs in turn, in one process, medians of the turns. Time of the processor, of all threads.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

FRAMEWORKS = ("torch", "tensorflow")
GOALS = {"of_peer": ("at most", 1.0)}
SHAPES = ((784,), (32, 32, 3))
SIZES = (16, 64, 256)
TURNS, BYTES = 7, 24 << 20

BACKEND = sys.argv[1] if sys.argv[1:] else os.environ.get("KERAS_BACKEND", "torch")
os.environ |= {"KERAS_BACKEND": BACKEND, "MULTILEARN_BACKEND": BACKEND, "OMP_NUM_THREADS": "1"}
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}

import numpy as np  # noqa: E402

from multilearn import DataLoader  # noqa: E402

Array = np.ndarray[Any, Any]


def torch_peer(x: Array, y: Array, size: int, shuffle: bool) -> Iterable[Any]:
    import torch
    from torch.utils.data import TensorDataset

    torch.set_num_threads(1)
    batches: Iterable[Any] = torch.utils.data.DataLoader(
        TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), size, shuffle=shuffle
    )
    return batches


def tensorflow_peer(x: Array, y: Array, size: int, shuffle: bool) -> Iterable[Any]:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, y))
    batches: Iterable[Any] = (data.shuffle(len(x), seed=1) if shuffle else data).batch(size)
    return batches


def ours(x: Array, y: Array, size: int, shuffle: bool) -> Iterable[Any]:
    return DataLoader((x, y), size, shuffle=shuffle)


def epoch(batches: Iterable[Any]) -> float:
    """Microseconds a batch."""
    count, began = 0, time.process_time()
    for _ in batches:
        count += 1
    return (time.process_time() - began) / count * 1e6


def medians(loaders: dict[str, Iterable[Any]], turns: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(turns + 1):
        for name, batches in loaders.items():
            microseconds = epoch(batches)
            if turn:  # the first one warms up
                taken[name].append(microseconds)
    return {name: statistics.median(values) for name, values in taken.items()}


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """Microseconds a batch of each; `of_peer`: ours as a multiple of the peer's."""
    peer: Callable[..., Iterable[Any]] = {"torch": torch_peer, "tensorflow": tensorflow_peer}[BACKEND]
    rows = {}
    for shape in SHAPES:
        items = (BYTES >> 2 if quick else BYTES) // (4 * int(np.prod(shape)))
        x = np.random.default_rng(1).random((items, *shape), dtype="float32")
        y = np.arange(items) % 10
        for size in SIZES:
            for shuffle in (False, True):
                loaders = {"ours": ours(x, y, size, shuffle), "peer": peer(x, y, size, shuffle)}
                took = medians(loaders, 2 if quick else TURNS)
                what = f"{'x'.join(map(str, shape))}, {size} a batch, {'shuffled' if shuffle else 'in order'}"
                rows[what] = {"ours_us": took["ours"], "peer_us": took["peer"], "of_peer": took["ours"] / took["peer"]}
                print(
                    f"{BACKEND} {what:36} {took['ours']:9.1f} {took['peer']:9.1f} {rows[what]['of_peer']:7.3f}",
                    flush=True,
                )
    return rows


if __name__ == "__main__":
    main()
