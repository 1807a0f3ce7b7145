"""Without capture the steps run as they are written, with equal results."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from keras import layers, optimizers
from support.training import assert_close, engine_of, evaluate, ids, numbers, train, twins

from multilearn_keras import Classification

BATCHES = [(numbers(6, 3, seed=k), ids(2, 6, seed=k)) for k in range(3)]


def model() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(2)])


class Looking(Classification):
    """Keeps what print would show of the loss in every step: the number, though JAX has it in a tracer."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self.seen: list[str] = []

    def step(self, batch: Any, training: bool) -> Any:
        output = super().step(batch, training)
        self.seen.append(str(output.loss))
        return output


def test_eager_steps_show_numbers_and_compute_the_same() -> None:
    first, second = twins(model)
    looking = Looking(first)
    eager = engine_of(looking, optimizers.SGD(momentum=0.9), BATCHES[0], accumulate=True, capture=False)
    compiled = engine_of(Classification(second), optimizers.SGD(momentum=0.9), BATCHES[0], accumulate=True)
    looking.seen.clear()
    found = train(eager, BATCHES, 0.05, n=2)
    np.testing.assert_allclose(found, train(compiled, BATCHES, 0.05, n=2), rtol=1e-5)
    shown = [float(re.findall(r"[0-9.]+[0-9]", text)[0]) for text in looking.seen]
    np.testing.assert_allclose(shown, [loss for loss, _ in found], atol=1e-4)
    np.testing.assert_allclose(evaluate(eager, BATCHES[:1]), evaluate(compiled, BATCHES[:1]), rtol=1e-5)
    eager.release()
    compiled.release()
    assert_close(first, second, 1e-5)
