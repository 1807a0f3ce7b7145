"""What a fit leaves behind: the model, the history, the files; and how often it compiles."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import (
    BACKEND,
    assert_close,
    assert_equal,
    chunks,
    cross_entropy,
    engine_of,
    ids,
    learner,
    numbers,
    train,
    twins,
)

from multilearn import DataLoader
from multilearn.errors import ConfigurationError, NonFiniteLoss
from multilearn_keras import Classification, Regression

TRAIN = (numbers(32, 4), ids(3, 32))
VALID = (numbers(21, 4, seed=1), ids(3, 21, seed=1))


def model() -> keras.Model:
    between = layers.Dense(6, kernel_regularizer="l2"), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3)
    return keras.Sequential([keras.Input((4,)), *between, layers.Dense(3)])


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def loss() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_the_returned_model_is_the_one_that_history_and_files_tell_of(tmp_path: Any) -> None:
    trained, untouched = twins(model)
    run = learner(tmp_path / "run", Classification(trained), "adam", 0.01, accuracy=True, num_epochs=3)
    found = run.fit(DataLoader(TRAIN, 8, shuffle=True), DataLoader(VALID, 8))
    assert found is trained
    kernel = trained.get_weights()[0]
    assert not np.array_equal(kernel, untouched.get_weights()[0])
    logits = trained.predict(VALID[0], verbose=0)
    value = cross_entropy(logits, VALID[1]).mean() + 0.01 * (kernel**2).sum()
    assert run.history["valid"]["Loss"][-1] == pytest.approx(value, rel=1e-5)
    assert run.history["valid"]["Accuracy"][-1] == (logits.argmax(-1) == VALID[1]).mean()
    assert [len(run.history[split]["Loss"]) for split in ("train", "valid")] == [3, 3]
    *lines, last = (tmp_path / "run/valid/epoch-3/Loss.log").read_text().split()
    values, counts = np.array([[float(part) for part in line.split(",")] for line in lines]).T
    assert counts.tolist() == [8, 8, 5]
    assert (values * counts).sum() / 21 == pytest.approx(float(last.removesuffix(",final")), rel=1e-6)


def test_fit_is_keras_fit_without_shuffling_regularizer_dropout_and_all(tmp_path: Any) -> None:
    ours, theirs = twins(model)
    run = learner(tmp_path / "run", Classification(ours), optimizers.SGD(), 0.1, num_epochs=2)
    valid = (numbers(16, 4, seed=1), ids(3, 16))
    run.fit(DataLoader(TRAIN, 8), DataLoader(valid, 8))
    theirs.compile(optimizers.SGD(0.1), loss())
    expected = theirs.fit(*TRAIN, batch_size=8, epochs=2, shuffle=False, validation_data=valid, verbose=0).history
    assert_close(ours, theirs, 1e-5)
    np.testing.assert_allclose(run.history["train"]["Loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(run.history["valid"]["Loss"], expected["val_loss"], rtol=2e-5)


class Noting(Classification):
    """Notes how often its step is run in Python: once per trace where steps are compiled."""

    traces = 0

    def step(self, batch: Any, training: bool) -> Any:
        self.traces += 1
        return super().step(batch, training)


def test_ragged_batches_and_later_epochs_compile_nothing_again() -> None:
    task = Noting(twins(linear)[0])
    batches = chunks((numbers(37, 4), ids(3, 37)), 8)
    engine = engine_of(task, optimizers.SGD(), batches[0], accumulate=True)

    def epoch(rate: float) -> None:
        train(engine, batches, rate, 2)
        for batch in batches:
            engine.eval_step(batch)

    before = task.traces
    epoch(0.01)
    first = task.traces - before
    epoch(0.02)
    later = task.traces - before - first
    engine.release()
    if BACKEND == "torch":
        # every training batch so far, and the ragged one of the validation; the others went through their graph
        assert later == len(batches) + 1 < first
    else:
        assert later == 0
        # training and evaluation; JAX compiles the ragged batch for itself
        assert first == {"tensorflow": 2, "jax": 4}[BACKEND]


def test_batches_may_be_the_frameworks_own_tensors(tmp_path: Any) -> None:
    ours, theirs = twins(linear)
    batches = chunks(TRAIN, 8)
    tensors = [tuple(keras.ops.convert_to_tensor(array) for array in batch) for batch in batches]
    learner(tmp_path / "one", Classification(ours), "sgd", 0.1).fit(tensors, tensors)
    learner(tmp_path / "two", Classification(theirs), "sgd", 0.1).fit(batches, batches)
    assert_equal(ours, theirs)


def test_dicts_of_arrays_go_through_the_loader(tmp_path: Any) -> None:
    def make() -> keras.Model:
        inputs = {"b": keras.Input((2,), name="b"), "a": keras.Input((3,), name="a")}
        return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([inputs["a"], inputs["b"]])))

    ours, theirs = twins(make)
    x, y = {"a": numbers(16, 3).astype("float64"), "b": numbers(16, 2)}, numbers(16)
    learner(tmp_path / "run", Regression(ours), "sgd", 0.1).fit(DataLoader((x, y), 8))
    theirs.compile(optimizers.SGD(0.1), "mse")
    theirs.fit({k: v.astype("float32") for k, v in x.items()}, y, batch_size=8, shuffle=False, verbose=0)
    assert_close(ours, theirs, 1e-5)


def test_the_data_is_left_as_it_was(tmp_path: Any) -> None:
    data = (numbers(16, 4), numbers(16, 3), np.linspace(0, 1, 16, dtype="float32"))
    before = [array.copy() for array in data]
    task = Regression(twins(linear)[0])
    learner(tmp_path / "run", task, "sgd", 0.1).fit(DataLoader(data, 8), DataLoader(data, 8))
    assert all(np.array_equal(one, other) for one, other in zip(data, before, strict=True))


def test_a_loss_that_is_not_finite_stops_the_run_with_the_model_in_place_and_does_not_reach_the_next(
    tmp_path: Any,
) -> None:
    trained, untouched = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    x, y = numbers(32, 4), numbers(32, 1)
    spoiled = np.where(np.arange(32)[:, None] == 17, np.nan, x)
    settings = {"grads_accumulation": 4, "with_file_checkpointer": ()}
    with pytest.raises(NonFiniteLoss, match=r"batch 3 of epoch 1, learning rate 0\.1"):
        learner(tmp_path / "one", Regression(trained), "sgd", 0.1, **settings).fit(DataLoader((spoiled, y), 8))
    assert trained.predict(x, verbose=0).shape == (32, 1)
    assert not list((tmp_path / "one").glob("checkpoint/model-*"))
    trained.set_weights(untouched.get_weights())
    run = learner(tmp_path / "two", Regression(trained), "sgd", 0.1, **settings)
    run.fit(DataLoader((x, y), 8))
    assert np.isfinite(run.history["train"]["Loss"]).all()
    assert np.isfinite(trained.predict(x, verbose=0)).all()


def test_a_device_may_be_named_and_must_be_there(tmp_path: Any) -> None:
    ours, theirs = twins(linear)
    learner(tmp_path / "one", Classification(ours), "sgd", 0.1, devices=(["cpu:0"],)).fit(DataLoader(TRAIN, 8))
    learner(tmp_path / "two", Classification(theirs), "sgd", 0.1).fit(DataLoader(TRAIN, 8))
    assert_close(ours, theirs, 1e-6)
    with pytest.raises(ConfigurationError, match="cpu:0"):
        learner(tmp_path / "three", Classification(model()), "sgd", 0.1, devices=("gpu:7",))
    assert not (tmp_path / "three").exists()
