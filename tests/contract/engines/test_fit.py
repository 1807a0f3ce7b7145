"""What a fit leaves behind: the model, the history, the files; on which device it computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.by_hand import descended
from support.training import (
    assert_close,
    chunks,
    cross_entropy,
    ids,
    learner,
    numbers,
    twins,
)

from multilearn import DataLoader
from multilearn.errors import ConfigurationError, NonFiniteLoss
from multilearn_keras import Classification, Regression

TRAIN = (numbers(32, 4), ids(3, 32))
VALID = (numbers(16, 4, seed=1), ids(3, 16, seed=1))


def model() -> keras.Model:
    between = layers.Dense(6, kernel_regularizer="l2"), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3)
    return keras.Sequential([keras.Input((4,)), *between, layers.Dense(3)])


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def test_the_returned_model_the_history_and_the_files_tell_of_what_keras_fit_trains(tmp_path: Any) -> None:
    """Without shuffling; regularizer, dropout and all."""
    ours, theirs = twins(model)
    run = learner(tmp_path / "run", Classification(ours), optimizers.SGD(), 0.1, accuracy=True, num_epochs=2)
    assert run.fit(DataLoader(TRAIN, 8), DataLoader(VALID, 8)) is ours
    theirs.compile(
        optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    expected = theirs.fit(*TRAIN, batch_size=8, epochs=2, shuffle=False, validation_data=VALID, verbose=0).history
    assert_close(ours, theirs, 1e-5)
    for split, prefix in (("train", ""), ("valid", "val_")):
        np.testing.assert_allclose(run.history[split]["Loss"], expected[f"{prefix}loss"], rtol=2e-5)
        np.testing.assert_allclose(run.history[split]["Accuracy"], expected[f"{prefix}accuracy"], rtol=1e-6)
    *lines, last = (tmp_path / "run/valid/epoch-2/Loss.log").read_text().split()
    values, counts = np.array([[float(part) for part in line.split(",")] for line in lines]).T
    assert counts.tolist() == [8, 8]
    assert values.mean() == pytest.approx(float(last.removesuffix(",final")), rel=1e-6)
    assert float(last.removesuffix(",final")) == run.history["valid"]["Loss"][-1]


def test_dicts_of_arrays_go_through_the_loader_and_are_left_as_they_were(tmp_path: Any) -> None:
    def make() -> keras.Model:
        inputs = {"b": keras.Input((2,), name="b"), "a": keras.Input((3,), name="a")}
        return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([inputs["a"], inputs["b"]])))

    trained, _ = twins(make)
    x, y = {"a": numbers(16, 3).astype("float64"), "b": numbers(16, 2)}, numbers(16)
    data = (x, y, np.linspace(0, 1, 16, dtype="float32"))
    before = keras.tree.map_structure(np.copy, data)
    joined, weights = np.concatenate([x["a"], x["b"]], axis=1), trained.get_weights()
    learner(tmp_path / "run", Regression(trained), "sgd", 0.1).fit(DataLoader(data, 8), DataLoader(data, 8))
    for items in (slice(0, 8), slice(8, 16)):
        weights = descended(
            lambda weights, items=items: float(
                np.mean(data[2][items] * ((joined[items] @ weights[0] + weights[1])[:, 0] - y[items]) ** 2)
            ),
            weights,
            0.1,
        )
    for mine, expected in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
    assert all(map(np.array_equal, keras.tree.flatten(data), keras.tree.flatten(before)))


def test_a_loss_that_is_not_finite_stops_the_run_with_the_model_in_place_and_does_not_reach_the_next(
    tmp_path: Any,
) -> None:
    trained, untouched = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    x, y = numbers(32, 4), numbers(32, 1)
    spoiled = np.where(np.arange(32)[:, None] == 17, np.nan, x)
    settings = {"grads_accumulation": 4, "with_file_checkpointer": ()}
    with pytest.raises(NonFiniteLoss, match=r"batch 3 of epoch 1, learning rate 0\.1"):
        learner(tmp_path / "one", Regression(trained), "sgd", 0.1, **settings).fit(DataLoader((spoiled, y), 8))
    assert keras.ops.convert_to_numpy(trained(x)).shape == (32, 1)
    assert not list((tmp_path / "one").glob("checkpoint/model-*"))
    trained.set_weights(untouched.get_weights())
    run = learner(tmp_path / "two", Regression(trained), "sgd", 0.1, **settings)
    run.fit(DataLoader((x, y), 8))
    assert np.isfinite(run.history["train"]["Loss"]).all()
    assert all(np.isfinite(weight).all() for weight in trained.get_weights())


def test_a_device_may_be_named_and_must_be_there(tmp_path: Any) -> None:
    trained, _ = twins(linear)
    weights = trained.get_weights()
    learner(tmp_path / "one", Classification(trained), "sgd", 0.1, devices=(["cpu:0"],)).fit(DataLoader(TRAIN, 8))
    for x, y in chunks(TRAIN, 8):
        weights = descended(
            lambda weights, x=x, y=y: float(cross_entropy(x @ weights[0] + weights[1], y).mean()), weights, 0.1
        )
    for mine, expected in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigurationError, match="cpu:0"):
        learner(tmp_path / "two", Classification(trained), "sgd", 0.1, devices=("gpu:7",))
    assert not (tmp_path / "two").exists()
