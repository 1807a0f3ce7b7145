"""A run of the version that made each batch ahead of its training, stopped inside an epoch, is resumed exactly.

Its record says where the global generators were before the batch that was made and not trained on. It was written by
that version, and so were the weights and losses of the run that was never interrupted.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from support import toy_experiment as toy

EARLIER = Path(__file__).parent / "looking_ahead"
LOSSES = (0.6097740026620718, 0.35667805717541623, 0.14772136280169854)


class Noisy:
    """A loader that draws from the generators of Python and numpy."""

    def __init__(self) -> None:
        self._loader = toy.train_loader()

    def __len__(self) -> int:
        return len(self._loader)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for x, y in self._loader.iterate(seed, epoch, start):
            yield x + np.random.normal(0, 0.1, x.shape).astype(np.float32) + np.float32(random.random()), y


def test_a_run_that_looked_one_batch_ahead_is_resumed_exactly(tmp_path: Path) -> None:
    run = shutil.copytree(EARLIER / "run", tmp_path / "run")
    described = toy.builder(run, 3).grads_accumulation(2).checkpoint("latest")
    learner = toy.fit(described, Noisy(), toy.valid_loader())
    assert learner.history["valid"]["Loss"] == LOSSES
    with np.load(EARLIER / "weights.npz") as expected:
        assert toy.weights(learner) == b"".join(expected[name].tobytes() for name in expected.files)
