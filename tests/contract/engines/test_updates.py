"""Clipping, weight decay and averages: what the optimizer makes of the accumulated gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.by_hand import doubles
from support.training import assert_equal, chunks, learner, numbers, state, trained, twins

import multilearn as ml
from multilearn_keras import Regression
from multilearn_keras.state.keys import flatten

X, Y = numbers(9, 3), 10 * numbers(9, 2, seed=1)


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def clipped_by(kind: str, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """By the arithmetic in the documentation of Keras' optimizers."""
    if kind == "clipvalue":
        return [np.clip(gradient, -0.5, 0.5) for gradient in gradients]
    norms = [np.sqrt((gradient**2).sum()) for gradient in gradients]
    if kind == "global_clipnorm":
        norms = [np.sqrt(sum(norm**2 for norm in norms))] * len(norms)
    return [gradient * min(1.0, 0.5 / norm) for gradient, norm in zip(gradients, norms, strict=True)]


@pytest.mark.parametrize("kind", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_the_accumulated_mean_gradient_is_clipped_also_in_a_partial_window(kind: str) -> None:
    model, _ = twins(linear)
    kernel, bias = (np.array(keras.ops.convert_to_numpy(v.value), "float64") for v in model.trainable_variables)
    optimizer = optimizers.SGD(weight_decay=0.1, **{kind: 0.5})
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    batches = chunks((X, Y), 3)
    trained(Regression(model), optimizer, batches, 0.1, n=2, accumulate=True)
    for x, y in ((X[:6], Y[:6]), (X[6:], Y[6:])):
        off = 2 * (x @ kernel + bias - y) / y.size
        by_kernel, by_bias = clipped_by(kind, [x.T @ off, off.sum(0)])
        kernel = kernel - 0.1 * 0.1 * kernel - 0.1 * by_kernel
        bias = bias - 0.1 * by_bias
    found = state(model)
    np.testing.assert_allclose(found["layers/dense.0/kernel"], kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["layers/dense.0/bias"], bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frequency", [None, 2])
def test_averages_of_the_weights_are_returned(tmp_path: Path, frequency: int | None) -> None:
    """By the arithmetic in the documentation of Keras' optimizers; the first average is the first weights."""
    model, _ = twins(linear)
    weights = average = doubles(model.get_weights())
    optimizer = optimizers.SGD(0.05, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=frequency)
    learner(tmp_path, Regression(model), optimizer, num_epochs=2).fit(ml.DataLoader((X, Y), 3))
    for update, (x, y) in enumerate(chunks((X, Y), 3) * 2, start=1):
        off = 2 * (x @ weights[0] + weights[1] - y) / y.size
        weights = [weights[0] - 0.05 * x.T @ off, weights[1] - 0.05 * off.sum(0)]
        share = 0.7 if update > 1 else 0.0
        average = [share * old + (1 - share) * new for old, new in zip(average, weights, strict=True)]
        if frequency is not None and update % frequency == 0:
            weights = average
    for mine, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5)


def test_records_and_validation_have_the_weights_that_are_trained_and_a_resume_is_exact(tmp_path: Path) -> None:
    def run(name: str, model: Any, epochs: int, ema: bool = True, **more: Any) -> ml.Learner:
        optimizer = optimizers.SGD(0.05, momentum=0.9, use_ema=ema)
        made = learner(
            tmp_path / name, Regression(model), optimizer, num_epochs=epochs, with_file_checkpointer=(), **more
        )
        made.fit(ml.DataLoader((X, Y), 3), ml.DataLoader((X, Y), 9))
        return made

    plain, whole = twins(linear)
    resumed, _ = twins(linear)
    without, averaged = run("plain", plain, 2, ema=False), run("whole", whole, 2)
    assert averaged.history == without.history
    assert state(whole)["layers/dense.0/kernel"].tobytes() != state(plain)["layers/dense.0/kernel"].tobytes()
    folder = ml.checkpoint.CheckpointFolder(tmp_path / "whole" / "checkpoint")
    saved = flatten(folder.load(folder.positions()[-1])["model"])
    assert saved["layers/dense.0/kernel"].array.tobytes() == state(plain)["layers/dense.0/kernel"].tobytes()
    run("resumed", resumed, 2, checkpoint=(1, tmp_path / "whole"))
    assert_equal(resumed, whole)
    again, best = twins(linear)
    run("whole", again, 2, checkpoint=("latest",))  # nothing is left to do
    assert_equal(again, whole)
    run("best", best, 2, restore_best=())
    assert_equal(best, plain)  # what was measured, and no average: the last epoch is the best here


def test_a_token_that_occurs_twice_has_the_sum_of_its_gradients() -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(2, 2)]))
    (before,) = state(model).values()
    tokens, y = np.array([[0, 0, 1]], "int32"), numbers(1, 3, 2)
    trained(Regression(model), optimizers.Adam(epsilon=1e-12), [(tokens, y)], 0.1)
    off = 2 * (before[tokens] - y)[0] / y.size
    # the first update of Adam is the rate times the gradient's sign
    expected = before - 0.1 * np.sign([off[0] + off[1], off[2]])
    np.testing.assert_allclose(state(model)["layers/embedding.0/embeddings"], expected, rtol=1e-4)
