"""The framework's own random stream, which tasks may draw from past Keras, follows the seed too."""

from __future__ import annotations

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import pytest

BACKEND = keras.backend.backend()


def draw() -> list[float]:
    if BACKEND == "torch":
        import torch

        return torch.rand(5).tolist()
    import tensorflow

    return tensorflow.random.uniform((5,)).numpy().tolist()


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no stream of its own")
@pytest.mark.parametrize("seed", [0, 42, 2**63 - 1])
def test_the_same_seed_gives_the_same_native_draws(seed: int) -> None:
    ml.set_seed(seed)
    first = draw()
    assert draw() != first
    ml.set_seed(seed)
    assert draw() == first
    ml.set_seed(seed // 2 + 1)
    assert draw() != first
