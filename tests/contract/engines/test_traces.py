"""How often a step is traced; without capture, or where it cannot be traced, a step runs as it is written."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import (
    BACKEND,
    assert_close,
    chunks,
    cross_entropy,
    engine_of,
    entries,
    evaluate,
    ids,
    numbers,
    state,
    train,
    twins,
)

from multilearn.metrics import Accuracy, Loss
from multilearn.protocols import Output
from multilearn_keras import Classification
from multilearn_keras.engines import compiled

TRACED = BACKEND != "torch"
RATE = 0.1


class Counting(Classification):
    """Counts the calls of its step, of which there is one for each trace, by what the step is for."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self.calls = {True: 0, False: 0}

    def step(self, batch: Any, training: bool) -> Any:
        self.calls[training] += 1
        return super().step(batch, training)


def perceptron() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(2)])


class Deciding:
    """Its loss is doubled where it is large, which it asks in plain Python; in training only."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.doubled = keras.Variable(0, dtype="int32", trainable=False)

    def step(self, batch: Any, training: bool) -> Output:
        x, y = batch
        loss = ops.mean(ops.square(self.model(x, training=training) - y))
        if training and loss > 1.0:
            self.doubled.assign_add(1)
            loss = 2 * loss
        return Output(loss, ops.shape(x)[0])


def scale() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])


def test_a_task_that_branches_on_a_value_is_right(caplog: pytest.LogCaptureFixture) -> None:
    model, _ = twins(scale)
    task = Deciding(model)
    x = np.array([[1.0], [2.0]], "float32")
    batches = [(x, 3 * x), (x, 1.5 * x), (x, 3 * x)]
    engine = engine_of(task, optimizers.SGD(), batches[0])
    with caplog.at_level(logging.WARNING, "multilearn"):
        found = train(engine, batches, 0.05)
    (evaluated,) = evaluate(engine, batches[:1])
    engine.release()
    # mean((w x - t x)^2) = 2.5 (w - t)^2, with the gradient 5 (w - t), twice that where the loss is above 1
    w, doubled, expected = 1.0, 0, []
    for target in (3.0, 1.5, 3.0):
        loss = 2.5 * (w - target) ** 2
        factor = 2 if loss > 1 else 1
        doubled += factor == 2
        expected.append(factor * loss)
        w -= 0.05 * factor * 5 * (w - target)
    np.testing.assert_allclose([loss for loss, _ in found], expected, rtol=1e-5)
    assert int(task.doubled.value) == doubled == 2
    np.testing.assert_allclose(evaluated[0], 2.5 * (w - 3) ** 2, rtol=1e-5)
    told = [record.getMessage() for record in caplog.records if "run eagerly" in record.getMessage()]
    if TRACED:
        assert len(told) == 1
        assert told[0].startswith("Steps of training run eagerly")


def descended(dense: layers.Dense, batches: list[Any], branching: bool = False) -> list[tuple[float, int]]:
    """The (loss, count) of batches that SGD trains a linear classifier on, by hand in float64.

    `branching`: outputs with a sum above 0 are doubled.
    """
    (kernel, bias), found = (weight.astype("float64") for weight in dense.get_weights()), []
    for x, y in batches:
        outputs = x @ kernel + bias
        factor = 2 if branching and outputs.sum() > 0 else 1
        found.append((cross_entropy(factor * outputs, y).mean(), len(y)))
        raised = np.exp(factor * outputs)
        off = factor * (raised / raised.sum(-1, keepdims=True) - np.eye(2)[y]) / len(y)
        kernel, bias = kernel - RATE * x.T @ off, bias - RATE * off.sum(0)
    return found


class Branching(layers.Layer):
    """A layer that looks at a value: Keras puts another exception in the place of the framework's."""

    def call(self, x: Any) -> Any:
        return x * 2 if ops.sum(x) > 0 else x


class Wrapped(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.branching = layers.Dense(2), Branching()

    def call(self, x: Any, training: bool = False) -> Any:
        return self.branching(self.dense(x))


def test_a_layer_that_branches_on_a_value_is_trained_and_evaluated_as_it_is_written() -> None:
    model, _ = twins(Wrapped)
    x, y = numbers(6, 3), ids(2, 6)
    batches = [(x, y), (-x, y), (x, y)]
    engine = engine_of(Classification(model), optimizers.SGD(), batches[0])
    expected = descended(model.dense, batches, branching=True)
    np.testing.assert_allclose(train(engine, batches[:2], RATE), expected[:2], rtol=1e-5)
    np.testing.assert_allclose(evaluate(engine, batches[2:]), expected[2:], rtol=1e-5)
    engine.release()


def tagger() -> keras.Model:
    embedding = layers.Embedding(7, 3, trainable=False)
    return keras.Sequential([keras.Input((None,), dtype="int32"), embedding, layers.Dense(2)])


def sequences(lengths: range) -> list[Any]:
    return [(ids(7, 4, t, seed=t), ids(2, 4, t, seed=t)) for t in lengths]


def test_batches_of_every_length_are_trained_on() -> None:
    model, _ = twins(tagger)
    counting, batches = Counting(model), sequences(range(3, 9 if BACKEND == "tensorflow" else 5))
    engine = engine_of(counting, optimizers.SGD(), batches[0])
    counting.calls[True] = 0
    embedding, dense = model.layers
    table = embedding.get_weights()[0]
    by_token = [(table[x].reshape(-1, 3), y.ravel()) for x, y in [*batches, batches[1]]]
    *expected, after = descended(dense, by_token)
    np.testing.assert_allclose(train(engine, batches, RATE), expected, rtol=1e-5)
    np.testing.assert_allclose(evaluate(engine, [batches[1]]), [after], rtol=1e-5)
    if BACKEND == "tensorflow":
        assert counting.calls[True] == 1
    engine.release()


class Summing:
    """A custom task, of whose batches no axis is declared open; it counts how often it is traced for training."""

    def __init__(self, model: keras.Model) -> None:
        self.model, self.calls = model, 0

    def step(self, batch: Any, training: bool) -> Output:
        self.calls += training
        return Output(ops.mean(ops.square(self.model(ops.sum(batch, axis=1)))), ops.shape(batch)[0])


def head() -> keras.Model:
    return keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False)])


@pytest.mark.skipif(not TRACED, reason="torch traces nothing here")
def test_steps_for_many_shapes_are_bounded_and_right(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiled, "_KEPT", 2)
    model, _ = twins(head)
    task, weights = Summing(model), model.get_weights()[0].astype("float64")
    batches = [numbers(3, t, 2, seed=t) for t in (1, 2, 1, 3, 1, 2)]
    engine: Any = engine_of(task, optimizers.SGD(), batches[0])
    expected = []
    for sums in (batch.sum(axis=1) for batch in batches):
        expected.append((np.mean((sums @ weights) ** 2), 3))
        weights = weights - 1e-3 * 2 * sums.T @ sums @ weights / 3
    before = task.calls
    with caplog.at_level(logging.WARNING, "multilearn"):
        np.testing.assert_allclose(train(engine, batches, 1e-3), expected, rtol=1e-4)
    assert len(engine._graphs._graphs if BACKEND == "tensorflow" else engine._train._programs) == 2
    # the ones used last are kept: of 1, 2, 1, 3, 1, 2 only the last 2 is traced again
    assert task.calls - before == 4
    assert sum("Pad the batches" in record.getMessage() for record in caplog.records) == 1
    engine.release()
    np.testing.assert_allclose(model.get_weights()[0], weights, rtol=1e-5)


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def normalised() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)])


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
    first, second = twins(lambda: keras.Sequential([keras.Input((3,)), layers.Dropout(0.5), layers.Dense(2)]))
    looking, batches = Looking(first), chunks((numbers(18, 3), ids(2, 18)), 6)
    eager = engine_of(looking, optimizers.SGD(momentum=0.9), batches[0], accumulate=True, capture=False)
    compiled = engine_of(Classification(second), optimizers.SGD(momentum=0.9), batches[0], accumulate=True)
    looking.seen.clear()
    found = train(eager, batches, 0.05, n=2)
    np.testing.assert_allclose(found, train(compiled, batches, 0.05, n=2), rtol=1e-5)
    shown = [float(re.findall(r"[0-9.]+[0-9]", text)[0]) for text in looking.seen]
    np.testing.assert_allclose(shown, [loss for loss, _ in found], atol=1e-4)
    np.testing.assert_allclose(evaluate(eager, batches[:1]), evaluate(compiled, batches[:1]), rtol=1e-5)
    eager.release()
    compiled.release()
    assert_close(first, second, 1e-5)


def test_ragged_batches_are_exact_and_later_epochs_compile_nothing_again() -> None:
    model, _ = twins(linear)
    task, metrics = Counting(model), (Loss(), Accuracy())
    batches = chunks((numbers(37, 3), ids(2, 37)), 8)
    engine = engine_of(task, optimizers.SGD(), batches[0], metrics=metrics, accumulate=True)

    def epoch() -> int:
        """How often the step was called."""
        before = sum(task.calls.values())
        for x, y in batches:
            weights, ((loss, count), (after, _)) = state(model), descended(model.layers[0], [(x, y)] * 2)
            steps = [engine.train_step((x, y), RATE, True), engine.eval_step((x, y))]
            trained, evaluated = (entries(metrics, [host]) for host in engine.fetch(steps))
            for found, expected, held in ((trained, loss, weights), (evaluated, after, state(model))):
                kernel, bias = held["layers/dense.0/kernel"], held["layers/dense.0/bias"]
                assert found["Loss"].count == found["Accuracy"].count == count
                assert found["Loss"].value == pytest.approx(expected, rel=1e-5)
                assert found["Accuracy"].value == pytest.approx(np.mean((x @ kernel + bias).argmax(1) == y))
        return sum(task.calls.values()) - before

    first, later = epoch(), epoch()
    if BACKEND == "torch":
        # every training batch so far, and the ragged one of the validation; the others went through their graph
        assert later == len(batches) + 1 < first
    else:
        assert later == 0
        # training and evaluation; JAX compiles the ragged batch for itself
        assert first == {"tensorflow": 2, "jax": 4}[BACKEND]
    engine.release()


def test_predictions_of_ragged_batches_are_those_of_their_items() -> None:
    model, _ = twins(normalised)
    batches = chunks(numbers(21, 3), 8)
    found = list(ml.predict(model, batches))
    assert [len(each) for each in found] == [8, 8, 5]
    for each, batch in zip(found, batches, strict=True):
        np.testing.assert_allclose(each, keras.ops.convert_to_numpy(model(batch)), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA is an option of TensorFlow's alone")
def test_xla_compiles_batches_like_the_first_and_computes_the_same() -> None:
    first, second = twins(perceptron)
    batches = chunks((numbers(20, 3), ids(2, 20)), 8)
    counting = Counting(first)
    compiled: Any = engine_of(counting, optimizers.Adam(), batches[0], compile="xla")
    plain = engine_of(Classification(second), optimizers.Adam(), batches[0])
    before = counting.calls[True]
    for _ in range(2):
        np.testing.assert_allclose(train(compiled, batches, RATE), train(plain, batches, RATE), rtol=1e-5)
        np.testing.assert_allclose(evaluate(compiled, batches), evaluate(plain, batches), rtol=1e-5)
    # one for batches like the first, one for the ragged ones
    assert counting.calls[True] - before == 2
    assert {key[2] for key in compiled._graphs._graphs._compiled} == {True, False}
    compiled.release()
    plain.release()
    assert_close(first, second, 1e-5)


class Spelling(layers.Layer):
    """What XLA cannot compile: it knows no texts."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return x + 0.0 * tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA is an option of TensorFlow's alone")
def test_what_xla_refuses_runs_without_it(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), Spelling(), layers.Dense(2)])

    first, second = twins(make)
    batches = chunks((numbers(16, 3), ids(2, 16)), 8)
    compiled = engine_of(Classification(first), optimizers.SGD(), batches[0], compile="xla")
    plain = engine_of(Classification(second), optimizers.SGD(), batches[0])
    with caplog.at_level(logging.WARNING, "multilearn"):
        assert train(compiled, batches, RATE) == train(plain, batches, RATE)
    assert sum("without XLA" in record.getMessage() for record in caplog.records) == 1
    compiled.release()
    plain.release()


@pytest.mark.skipif(BACKEND == "jax", reason="on JAX they are Keras' own")
@pytest.mark.parametrize(
    "make", [optimizers.Adam, lambda: optimizers.AdamW(weight_decay=0.1, use_ema=True)], ids=["Adam", "AdamW"]
)
def test_updates_of_adam_are_those_that_keras_writes(make: Callable[[], Any]) -> None:
    ours, theirs = twins(perceptron)
    batches = chunks((numbers(24, 3), ids(2, 24)), 8)
    captured = engine_of(Classification(ours), make(), batches[0])
    eager = engine_of(Classification(theirs), make(), batches[0], capture=False)
    for rate in (0.01, 0.001, 0.02) * 3:
        train(captured, batches, rate)
        train(eager, batches, rate)
    captured.release()
    eager.release()
    assert_close(ours, theirs, 1e-5)
