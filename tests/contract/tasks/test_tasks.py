"""What tasks compute: the loss, and the count it is a mean over, against numpy; and tasks of one's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import (
    cross_entropy,
    engine_of,
    evaluate,
    ids,
    learner,
    numbers,
    refused,
    seen,
    state,
    train,
    twins,
)

import multilearn as ml
from multilearn import DataLoader
from multilearn.errors import ConfigurationError, DataError
from multilearn.outputs import RegressionOutput
from multilearn.protocols import Output
from multilearn_keras import Classification, Regression

LENGTHS = (3, 1, 4, 2)


def masked(classes: int = 3) -> keras.Model:
    """Outputs (batch, time, classes); steps of zeros are masked."""
    return keras.Sequential([keras.Input((4, 2)), layers.Masking(), layers.Dense(classes, use_bias=False)])


def plain() -> keras.Model:
    return keras.Sequential([keras.Input((4, 2)), layers.Dense(3, use_bias=False)])


def sequences() -> tuple[np.ndarray, np.ndarray]:
    """Inputs (batch, time, features), padded with zeros, and which steps count."""
    x, counted = numbers(4, 4, 2), np.arange(4) < np.array(LENGTHS)[:, None]
    return np.where(counted[..., None], x, 0).astype("float32"), counted


def measured(task: Any, batch: Any) -> tuple[float, float]:
    """(loss, count), the same from a training step as from an evaluation."""
    found = seen(task, batch)
    return float(found["loss"]), float(found["count"])


@pytest.mark.parametrize(
    ("make", "weighted", "reduction"),
    [
        *((masked, True, reduction) for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum")),
        *((masked, False, "mean_with_sample_weight"), (plain, True, "mean_with_sample_weight")),
        (plain, False, "sum_over_batch_size"),
    ],
)
def test_the_loss_and_its_divisor(make: Any, weighted: bool, reduction: str) -> None:
    model, _ = twins(make)
    x, counted = sequences()
    y = ids(3, 4, 4)
    mask = counted if make is masked else np.ones((4, 4))
    weight = np.random.default_rng(2).uniform(0.5, 2, (4, 4)).astype("float32") if weighted else np.ones((4, 4))
    total = (cross_entropy(x @ state(model)["layers/dense.0/kernel"], y) * mask * weight).sum()
    divisor = {"mean_with_sample_weight": (mask * weight).sum(), "sum": 1}.get(reduction, mask.sum())
    batch = (x, y, weight) if weighted else (x, y)
    given = weight.copy()
    loss, count = measured(
        Classification(model, keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)), batch
    )
    assert count == pytest.approx(divisor, rel=1e-6)
    assert loss == pytest.approx(total / divisor, rel=1e-5)
    assert np.array_equal(weight, given)  # Keras multiplies the mask into the weights that it is given, on torch


@pytest.mark.parametrize(
    ("ignored", "reduction"),
    [(-1, "sum_over_batch_size"), (0, "mean_with_sample_weight"), (255, "sum_over_batch_size")],
)
def test_an_ignored_class_is_counted_neither_in_the_loss_nor_in_metrics(ignored: int, reduction: str) -> None:
    model, _ = twins(masked)
    x, counted = sequences()
    y = ids(3, 4, 4)
    y[0, 0] = y[2] = ignored
    counted = counted & (y != ignored)
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=ignored, reduction=reduction)
    logits = x @ state(model)["layers/dense.0/kernel"]
    each = cross_entropy(logits, np.where(counted, y, 0))[counted]
    found = seen(Classification(model, loss), (x, y), "weights")
    assert (found["loss"], found["count"]) == (pytest.approx(each.mean(), rel=1e-5), counted.sum())
    np.testing.assert_array_equal(found["weights"], counted)


def test_ids_and_one_hot_targets_of_any_type_do_for_every_loss_of_classes() -> None:
    model, _ = twins(masked)
    x, counted = sequences()
    y = ids(3, 4, 4)
    each = cross_entropy(x @ state(model)["layers/dense.0/kernel"], y)[counted]
    one_hot, categorical = np.eye(3)[y], keras.losses.CategoricalCrossentropy(from_logits=True)
    expected = (pytest.approx(each.mean(), rel=1e-5), counted.sum())
    for loss, forms in (
        (None, (y[..., None], one_hot.astype("float32"), one_hot.astype("bool"))),
        (categorical, (y, one_hot.astype("int64"), one_hot.astype("uint8"))),
    ):
        for targets in forms:
            assert measured(Classification(model, loss), (x, targets)) == expected, targets.dtype


def test_shares_of_classes_are_targets_of_a_categorical_loss_only() -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((2,)), layers.Dense(3, use_bias=False)]))
    x, shares = numbers(4, 2), np.full((4, 3), 1 / 3, "float32")
    loss, count = measured(Classification(model, keras.losses.CategoricalCrossentropy(True)), (x, shares))
    logits = x @ state(model)["layers/dense.0/kernel"]
    assert (loss, count) == (pytest.approx((np.log(np.exp(logits).sum(-1)) - logits.mean(-1)).mean(), rel=1e-5), 4)
    with pytest.raises(DataError, match="CategoricalCrossentropy"):
        measured(Classification(model), (x, shares))


def linear(width: int) -> tuple[keras.Model, np.ndarray]:
    """A model of four numbers, and its kernel."""
    ml.set_seed(1)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(width, use_bias=False)])
    return model, model.get_weights()[0]


def test_probabilities_with_from_logits_false() -> None:
    logits_model, kernel = linear(3)
    model = keras.Sequential([logits_model, layers.Softmax()])
    batch = (numbers(8, 4), ids(3, 8))
    expected = (pytest.approx(cross_entropy(batch[0] @ kernel, batch[1]).mean(), rel=1e-5), 8)
    assert measured(Classification(model, from_logits=False), batch) == expected
    for name in ("sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy):
        assert measured(Classification(logits_model, name), batch) == expected


@pytest.mark.parametrize("name", ["mean_absolute_error", keras.losses.Huber(), keras.losses.log_cosh])
def test_regression_takes_any_loss_of_numbers(name: Any) -> None:
    model, kernel = linear(2)
    x, y = numbers(8, 4), numbers(8, 2, seed=1)
    d = (x @ kernel - y).astype("float64")
    by_name = {
        "mean_absolute_error": np.abs(d),
        "huber_loss": np.where(np.abs(d) < 1, d**2 / 2, np.abs(d) - 0.5),
        "log_cosh": np.log(np.cosh(d)),
    }
    key = name if isinstance(name, str) else getattr(name, "name", getattr(name, "__name__", ""))
    assert measured(Regression(model, name), (x, y)) == (pytest.approx(by_name[key].mean(), rel=1e-5), 8)


def test_regression_counts_what_is_not_masked_and_takes_weights() -> None:
    model, _ = twins(lambda: masked(2))
    x, counted = sequences()
    y, weight = numbers(4, 4, 2, seed=1), np.random.default_rng(2).uniform(0.5, 2, (4, 4)).astype("float32")
    squared = ((x @ state(model)["layers/dense.0/kernel"] - y) ** 2).mean(-1) * counted * weight
    by_items, by_weight = (
        keras.losses.MeanSquaredError(reduction=r) for r in ("sum_over_batch_size", "mean_with_sample_weight")
    )
    for loss, count in ((by_items, counted.sum()), (by_weight, (counted * weight).sum())):
        found = measured(Regression(model, loss), (x, y, weight))
        assert found == pytest.approx((squared.sum() / count, count), rel=1e-5)


def test_regression_targets_may_lack_the_last_axis_of_one_and_be_truth_values() -> None:
    model, kernel = linear(1)
    x, y = numbers(8, 4), numbers(8, 1, seed=1)
    for targets, meant in ((y[:, 0], y), (y > 0, y > 0)):
        expected = np.mean((x @ kernel - meant) ** 2)
        assert measured(Regression(model), (x, targets)) == (pytest.approx(expected, rel=1e-5), 8)


def test_a_batch_may_say_that_it_has_no_weights() -> None:
    model, kernel = linear(3)
    x, y = numbers(8, 4), ids(3, 8)
    expected = cross_entropy(x @ kernel, y).mean()
    assert measured(Classification(model), (x, y, None)) == (pytest.approx(expected, rel=1e-5), 8)


class Least:
    """Returns nothing but a loss and how many items it is of."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> Output:
        x, y = batch
        return Output(keras.ops.mean((self.model(x, training=training) - y) ** 2), 2.5)


def test_the_least_a_task_may_return() -> None:
    model, kernel = linear(1)
    batch = (numbers(8, 4), numbers(8, 1, seed=1))
    loss = np.mean((batch[0] @ kernel - batch[1]) ** 2)
    engine = engine_of(Least(model), "sgd", batch)
    for found in (evaluate(engine, [batch]), train(engine, [batch], 0.0)):
        assert found == [(pytest.approx(loss, rel=1e-5), 2.5)]


@pytest.mark.parametrize("task", [Regression, Least])
def test_a_metric_that_does_not_fit_the_task_is_refused_before_anything_is_written(task: Any, tmp_path: Any) -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    run = tmp_path / "run"
    with refused(run, ConfigurationError, "Accuracy"):
        learner(run, task(model), "sgd", 0.1, accuracy=True).fit(DataLoader((numbers(8, 4), numbers(8, 1)), 4))


PENALTY = 0.01


class Pair:
    """Predicts `y` from `a` and `b` together, in batches that only its step can read."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        predicted = self.model(ops.concatenate([batch["a"], batch["b"]], axis=-1), training=training)
        loss = ops.mean(ops.square(predicted - batch["y"])) + sum(self.model.losses)
        return RegressionOutput(loss, ops.shape(batch["y"])[0], predicted, batch["y"])


class Unevaluated(Pair):
    """A step that fails where it is not training."""

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        return super().step(batch if training else {"a": batch["a"]}, training)


def pairs(items: int) -> dict[str, np.ndarray]:
    a, b = numbers(items, 3), numbers(items, 2, seed=1)
    return {"a": a, "b": b, "y": a.sum(axis=1, keepdims=True)}


@pytest.mark.parametrize("built", [True, False])
def test_a_task_reads_its_batches_as_it_likes_whether_its_model_is_built_or_not(tmp_path: Any, built: bool) -> None:
    dense = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(PENALTY))
    model = keras.Sequential([keras.Input((5,)), dense] if built else [dense])
    batches = pairs(50)
    run = learner(tmp_path / "run", Pair(model), "sgd", 0.0)
    assert run.fit(DataLoader(batches, 25), DataLoader(batches, 25)) is model
    kernel, bias = (ops.convert_to_numpy(variable) for variable in dense.trainable_variables)
    predicted = np.concatenate([batches["a"], batches["b"]], axis=1) @ kernel + bias
    expected = np.mean((predicted - batches["y"]) ** 2) + PENALTY * np.sum(kernel**2)
    for split in ("train", "valid"):
        assert run.history[split]["Loss"] == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("task", "batch"), [(Pair, {"a": numbers(4, 3)}), (Unevaluated, pairs(4))], ids=["training", "evaluation"]
)
def test_a_step_that_fails_is_refused_before_anything_is_written(tmp_path: Any, task: Any, batch: Any) -> None:
    model, run = keras.Sequential([keras.Input((5,)), layers.Dense(1)]), tmp_path / "run"
    with refused(run, DataError, "KeyError"):
        learner(run, task(model), "sgd", 0.1).fit([batch], [batch])
    # what was tried left no tracer of JAX behind
    assert state(model)["layers/dense.0/kernel"].shape == (5, 1)
