"""Two engines that train two networks in turn, each looking at the other one: a loop of one's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops, optimizers
from support.training import numbers, state

from multilearn import backend
from multilearn.metrics import Loss
from multilearn.protocols import Engine, EngineOptions, Example, Output

RATE = 0.1


class Towards:
    """Has `model`, seen through `other`, come near to the batch's y."""

    def __init__(self, model: keras.Model, other: keras.Model, last: bool) -> None:
        self.model, self.other, self.last = model, other, last

    def step(self, batch: Any, training: bool) -> Output:
        x, y = batch
        found = self.model(self.other(x)) if self.last else self.other(self.model(x))
        return Output(ops.mean(ops.square(found - y)), ops.shape(x)[0])


def scale(start: float) -> keras.Model:
    """One number that is multiplied with."""
    dense = layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(start))
    return keras.Sequential([keras.Input((1,)), dense])


def engine(task: Towards, batch: Any) -> Engine:
    keras_backend = backend.load()
    subject = keras_backend.adopt(task, optimizers.SGD(momentum=0.5), RATE)
    return keras_backend.engine(subject, [Example(batch)] * 2, EngineOptions((Loss(),), (Loss(),), shared=True))


def test_each_engine_sees_what_the_other_one_did() -> None:
    first, second = scale(0.5), scale(2.0)
    x, up, down = numbers(8, 1), 3 * numbers(8, 1), -numbers(8, 1)
    engines = engine(Towards(first, second, last=False), (x, up)), engine(Towards(second, first, last=True), (x, down))
    a, b, speed_a, speed_b = 0.5, 2.0, 0.0, 0.0
    expected, outputs = [], []
    for step in range(4):
        expected.append(float(np.mean((a * b * x - up) ** 2)))
        speed_a = 0.5 * speed_a - RATE * float(np.mean(2 * (a * b * x - up) * b * x))
        a += speed_a
        outputs.append(engines[0].train_step((x, up), RATE, True))
        if step % 2:
            speed_b = 0.5 * speed_b - RATE * float(np.mean(2 * (a * b * x - down) * a * x))
            b += speed_b
            engines[1].train_step((x, down), RATE, True)
    found = [float(host.measures["Loss"]["loss"]) for host in engines[0].fetch(outputs)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    (evaluated,) = engines[0].fetch([engines[0].eval_step((x, up))])
    np.testing.assert_allclose(evaluated.measures["Loss"]["loss"], np.mean((a * b * x - up) ** 2), rtol=1e-5)

    recorded = engines[0].record()
    np.testing.assert_allclose(recorded["model"]["layers"]["dense.0"]["kernel"].array, [[a]], rtol=1e-5)
    np.testing.assert_allclose(
        recorded["model"]["task"]["other"]["layers"]["dense.0"]["kernel"].array, [[b]], rtol=1e-5
    )
    kept = recorded
    engines[0].train_step((x, up), RATE, True)
    engines[0].restore(kept)
    for each in engines:
        each.release()
    for model, value in ((first, a), (second, b)):
        np.testing.assert_allclose(state(model)["layers/dense.0/kernel"], [[value]], rtol=1e-5)
