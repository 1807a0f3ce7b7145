"""A batch whose loss is not finite, under the policy `skip`: as if it had not been there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops, optimizers
from support.training import engine_of, ids, numbers, train, twins

from multilearn.metrics import Loss
from multilearn.outputs import RegressionOutput
from multilearn_keras import Classification
from multilearn_keras.state.keys import flatten


def normalised() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.BatchNormalization(momentum=0.5), layers.Dense(2)])


def batch(seed: int) -> Any:
    return numbers(4, 3, seed=seed), ids(2, 4, seed=seed)


def spoiled(seed: int, value: float = np.nan) -> Any:
    x, y = batch(seed)
    x[1, 2] = value
    return x, y


def everything(engine: Any) -> dict[str, bytes]:
    record = engine.record()
    return {key: leaf.array.tobytes() for key, leaf in flatten({p: record[p] for p in ("model", "optim")}).items()}


GOOD = [batch(0), batch(1), batch(2)]


def test_training_goes_on_bit_for_bit_as_without_that_batch() -> None:
    def optimizer() -> Any:
        return optimizers.Adam(0.1, use_ema=True, global_clipnorm=0.5)

    first, second = twins(normalised)
    with_it = engine_of(Classification(first), optimizer(), GOOD[0], skip_non_finite=True)
    without = engine_of(Classification(second), optimizer(), GOOD[0], skip_non_finite=True)
    found = train(with_it, [spoiled(7), GOOD[0], spoiled(8), spoiled(9, np.inf), *GOOD[1:]], 0.05)
    expected = train(without, GOOD, 0.05)
    assert [loss for loss, _ in found if np.isfinite(loss)] == [loss for loss, _ in expected]
    assert [np.isfinite(loss) for loss, _ in found] == [False, True, False, False, True, True]
    assert everything(with_it) == everything(without)


def test_in_an_accumulated_window_it_counts_nothing_and_a_window_of_nothing_else_makes_no_update() -> None:
    first, second = twins(normalised)
    options = {"accumulate": True, "skip_non_finite": True}
    with_it = engine_of(Classification(first), optimizers.SGD(momentum=0.9), GOOD[0], **options)
    without = engine_of(Classification(second), optimizers.SGD(momentum=0.9), GOOD[0], **options)
    windows = [[spoiled(7), GOOD[0], GOOD[1]], [spoiled(8), spoiled(9)], [GOOD[2], spoiled(5)]]
    for window in windows:
        train(with_it, window, 0.05, n=len(window))
    for window in (GOOD[:2], GOOD[2:]):
        train(without, window, 0.05, n=len(window))
    assert everything(with_it) == everything(without)
    iterations = flatten(with_it.record()["optim"])["iterations"].array
    assert int(iterations) == 2


def test_random_streams_go_on_all_the_same() -> None:
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), layers.Dropout(0.5), layers.Dense(2)])

    first, second = twins(make)
    one, other = (
        engine_of(Classification(model), optimizers.SGD(), GOOD[0], skip_non_finite=True) for model in (first, second)
    )
    train(one, [spoiled(7)], 0.05)
    train(other, [GOOD[0]], 0.05)
    seeds = [{k: v for k, v in everything(engine).items() if "seed" in k} for engine in (one, other)]
    assert seeds[0] == seeds[1]
    assert seeds[0]


class Root:
    """The square root of a prediction: at zero the loss is finite, and its gradient is not."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        roots = ops.sqrt(ops.abs(self.model(batch, training=training)))
        return RegressionOutput(ops.mean(roots), ops.shape(batch)[0], roots, roots)


def test_a_gradient_that_is_not_finite_counts_as_such_a_loss() -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((2,)), layers.Dense(1)]))
    engine = engine_of(Root(model), optimizers.SGD(), numbers(4, 2), skip_non_finite=True, metrics=(Loss(),))
    before = everything(engine)
    ((loss, _),) = train(engine, [np.zeros((4, 2), "float32")], 0.05)
    assert loss == 0.0
    assert everything(engine) == before
