"""A step of one's own that leaves out the losses of its layers: said, for its regularizers have no effect."""

from __future__ import annotations

import logging
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import engine_of

X = np.ones((4, 3), "float32")


class Own:
    def __init__(self, adds: bool) -> None:
        kernel = {"kernel_initializer": "ones", "kernel_regularizer": keras.regularizers.L2(1.0)}
        self.model = keras.Sequential([keras.Input((3,)), layers.Dense(1, **kernel)])
        self.adds = adds

    def step(self, batch: Any, training: bool) -> ml.outputs.Output:
        loss = 0.0 * ops.mean(self.model(batch, training=training))
        return ml.outputs.Output(loss + sum(self.model.losses) if self.adds else loss, len(X))


@pytest.mark.parametrize("adds", [False, True])
def test_regularizers_that_a_step_leaves_out_are_named(caplog: pytest.LogCaptureFixture, adds: bool) -> None:
    task = Own(adds)
    with caplog.at_level(logging.WARNING, "multilearn"):
        engine = engine_of(task, "sgd", X)
    assert ("dense" in caplog.text and "have no effect" in caplog.text) is not adds
    engine.train_step(X, 0.1, update=True)
    engine.release()
    # the gradient of the sum of squares is 2 for each weight of 1
    assert ops.convert_to_numpy(task.model.layers[0].kernel) == pytest.approx(0.8 if adds else 1.0)
