"""Half precision in the layers, single precision in the weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import assert_equal, engine_of, ids, learner, numbers, state, train, trained, twins

import multilearn as ml
from multilearn_keras import Classification
from multilearn_keras.state.keys import flatten

DATA = (numbers(12, 5).astype("float64"), ids(3, 12))


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def model() -> keras.Model:
    between = layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.2)
    return keras.Sequential([keras.Input((5,)), *between, layers.Dense(3)])


def run(directory: Path, net: keras.Model, epochs: int, **more: object) -> ml.Learner:
    settings = {"num_epochs": epochs, "with_file_checkpointer": (), **more}
    made = learner(directory, Classification(net), optimizers.Adam(), 0.01, **settings)
    made.fit(ml.DataLoader(DATA, 4, shuffle=True))
    return made


def test_it_trains_and_resumes_bit_for_bit(tmp_path: Path, policy: str) -> None:
    whole, resumed = twins(model)
    # accumulating compiles twice as much: where the loss is scaled, it has more to go wrong
    accumulated = {"grads_accumulation": 2} if policy == "mixed_float16" else {}
    history = run(tmp_path / "whole", whole, 2, **accumulated).history
    goes_on = run(tmp_path / "resumed", resumed, 2, checkpoint=(1, tmp_path / "whole"), **accumulated)
    assert goes_on.history == history
    assert_equal(resumed, whole)
    assert np.isfinite(history["train"]["Loss"]).all()
    assert {value.dtype for key, value in state(whole).items() if "seed" not in key} == {np.dtype("float32")}
    folder = ml.checkpoint.CheckpointFolder(tmp_path / "whole" / "checkpoint")
    optimizer = flatten(folder.load(folder.positions()[-1])["optim"])
    scales = {key: leaf.array for key, leaf in optimizer.items() if key.endswith("scale")}
    assert scales.keys() == ({"dynamic_scale"} if policy == "mixed_float16" else set())
    assert all(2.0**8 < scale <= 2.0**15 for scale in scales.values())


def test_the_steps_are_those_of_single_precision_but_for_rounding(policy: str) -> None:
    def plain() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(3)])

    x, y = numbers(8, 3), ids(3, 8)
    ours, theirs = twins(plain)
    trained(Classification(ours), optimizers.SGD(0.1), [(x, y)] * 3, 0.1)
    # by hand, in float64
    kernel, bias, last, last_bias = (weight.astype("float64") for weight in theirs.get_weights())
    for _ in range(3):
        before = x @ kernel + bias
        hidden = np.maximum(before, 0)
        raised = np.exp(hidden @ last + last_bias)
        off = (raised / raised.sum(1, keepdims=True) - np.eye(3)[y]) / 8
        back = off @ last.T * (before > 0)
        last, last_bias = last - 0.1 * hidden.T @ off, last_bias - 0.1 * off.sum(0)
        kernel, bias = kernel - 0.1 * x.T @ back, bias - 0.1 * back.sum(0)
    for found, expected in zip(ours.get_weights(), (kernel, bias, last, last_bias), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_gradient_that_overflows_makes_no_update_and_halves_the_scale(policy: str) -> None:
    moved, untouched = twins(lambda: keras.Sequential([keras.Input((3,)), layers.Dense(3)]))
    x, y = numbers(8, 3), ids(3, 8)
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=2.0**30)
    engine = engine_of(Classification(moved), optimizer, (x, y), accumulate=True, skip_non_finite=True)
    found = train(engine, [(x, y), (x, y)], 0.1, n=2)
    assert np.isfinite(found).all()
    slots = {key: leaf.array for key, leaf in flatten(engine.record()["optim"]).items()}
    assert (slots["dynamic_scale"], slots["inner/iterations"]) == (2.0**29, 0)
    engine.release()
    assert_equal(moved, untouched)
