"""Weights by class: the loss in training, and only there, against numpy and against Keras' own fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support.programs import compiled
from support.training import cross_entropy, ids, learner, numbers, refused, state, twins

import multilearn as ml
from multilearn.data import mapped
from multilearn.errors import ConfigurationError
from multilearn_keras import Classification, CompiledModel, MultiLabelClassification, SequenceClassification

WEIGHTS = {0: 2.0, 2: 0.5}
FACTORS = np.array([2.0, 1.0, 0.5])
Task = Callable[[keras.Model], Any]


def dense(width: int, *shape: int) -> keras.Model:
    return twins(lambda: keras.Sequential([keras.Input(shape), layers.Dense(width, use_bias=False)]))[0]


def steps(task: Any, batch: Any) -> list[tuple[float, float, Any]]:
    """Loss, count and the weights that metrics see, in training and in evaluation."""

    @compiled
    def both(tensors: Any) -> list[Any]:
        outputs = [task.step(tensors, training) for training in (True, False)]
        return [(each.loss, each.count, each.weights) for each in outputs]

    return [
        tuple(mapped(keras.ops.convert_to_numpy, each)) for each in both(mapped(keras.ops.convert_to_tensor, batch))
    ]


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_training_loss_is_weighed_by_class_and_nothing_else_is(one_hot: bool) -> None:
    model, x, y = dense(3, 4), numbers(6, 4), ids(3, 6)
    values = cross_entropy(x @ state(model)["layers/dense.0/kernel"], y)
    targets = np.eye(3, dtype="float32")[y] if one_hot else y
    train, valid = steps(Classification(model, class_weight=WEIGHTS), (x, targets))
    assert train[0] == pytest.approx((values * FACTORS[y]).sum() / 6, rel=1e-5)
    assert valid[0] == pytest.approx(values.mean(), rel=1e-5)
    assert train[1] == valid[1] == 6
    assert train[2] is valid[2] is None


def test_sample_weights_and_those_of_classes_are_multiplied() -> None:
    model, x, y, weight = dense(3, 4), numbers(6, 4), ids(3, 6), np.float32([1, 2, 0, 1, 3, 1])
    values = cross_entropy(x @ state(model)["layers/dense.0/kernel"], y)
    # a loss that divides by the sum of weights divides by that of the products
    mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    train, _ = steps(Classification(model, mean, class_weight=[2.0, 1.0, 0.5]), (x, y, weight))
    factors = FACTORS[y] * weight
    assert train[0] == pytest.approx((values * factors).sum() / factors.sum(), rel=1e-5)
    assert train[1] == pytest.approx(factors.sum())
    np.testing.assert_array_equal(train[2], weight)


def test_each_position_and_pixel_has_the_weight_of_its_class_and_what_is_left_out_has_none() -> None:
    model, x, y = dense(3, 5, 4), numbers(2, 5, 4), ids(3, 2, 5)
    y[:, 3:] = -1
    values = cross_entropy(x @ state(model)["layers/dense.0/kernel"], np.maximum(y, 0))
    smoothing = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    logits = (x @ state(model)["layers/dense.0/kernel"]).astype("float64")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    smoothed = 0.7 * values - 0.3 * logs.mean(-1)
    for loss, expected in ((None, values), (smoothing, smoothed)):
        train, _ = steps(SequenceClassification(model, loss, padding=-1, class_weight=WEIGHTS), (x, y))
        assert train[0] == pytest.approx((expected * FACTORS[y])[y >= 0].sum() / 6, rel=1e-5)
        assert train[1] == 6


@pytest.mark.parametrize("column", [False, True])
def test_the_two_classes_of_a_single_label(column: bool) -> None:
    model, x, y = dense(1, 4), numbers(6, 4), ids(2, 6)
    logits = (x @ state(model)["layers/dense.0/kernel"])[:, 0].astype("float64")
    smooth = y * 0.8 + 0.1
    values = np.log1p(np.exp(logits)) - smooth * logits
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)
    task = MultiLabelClassification(model, loss, class_weight={1: 5.0})
    train, valid = steps(task, (x, y[:, None] if column else y))
    assert train[0] == pytest.approx((values * np.where(y, 5.0, 1.0)).mean(), rel=1e-5)
    assert valid[0] == pytest.approx(values.mean(), rel=1e-5)


def test_the_generalized_cross_entropy_takes_class_ids_and_probabilities() -> None:
    ml.set_seed(1)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax", use_bias=False)])
    x, y = numbers(6, 4), ids(3, 6)
    p = np.exp(-cross_entropy(x @ state(model)["layers/dense.0/kernel"], y))
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
    for targets in (y, y[:, None], np.eye(3, dtype="float32")[y]):
        train, _ = steps(Classification(model, loss, from_logits=False), (x, targets))
        assert train[0] == pytest.approx(((1 - p**0.5) / 0.5).mean(), rel=1e-5)


def test_a_compiled_model_is_trained_as_by_keras_fit(tmp_path: Path) -> None:
    x, y = numbers(20, 4), ids(3, 20)
    one, other = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    for model in (one, other):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    theirs = one.fit(x, y, 8, epochs=2, class_weight=WEIGHTS, shuffle=False, verbose=0, validation_data=(x, y))
    ours = learner(tmp_path / "run", CompiledModel(other, class_weight=WEIGHTS), None, num_epochs=2)
    ours.fit(ml.DataLoader((x, y), 8), ml.DataLoader((x, y), 8))
    for key, value in state(one).items():
        np.testing.assert_allclose(state(other)[key], value, rtol=1e-6, atol=1e-7)
    for name, values in (
        ("loss", ours.history["train"]["Loss"]),
        ("val_loss", ours.history["valid"]["Loss"]),
        ("accuracy", ours.history["train"]["accuracy"]),
    ):
        assert theirs.history[name] == pytest.approx(values, rel=1e-5)
    assert '"class_weight": {' in (tmp_path / "run" / "experiment.json").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("balanced", "compute_class_weight"),
        ({3: 1.0}, "classes 0 to 2.* a weight for class 3"),
        ([1.0, 2.0], "2 weights in order"),
        ({0: -1.0}, "-1.0 for class 0"),
        ({0: float("nan")}, "nan for class 0"),
        ({"cat": 1.0}, "the class 'cat'"),
        ({0: 0, 1: 0, 2: 0}, "a weight of 0 for every class"),
        (5, "Received: 5"),
    ],
)
def test_what_is_no_weight_by_class_is_refused(tmp_path: Path, given: Any, said: str) -> None:
    with refused(tmp_path / "run", ConfigurationError, said):
        learner(tmp_path / "run", Classification(dense(3, 4), class_weight=given), "sgd", 0.1).fit(
            [(numbers(6, 4), ids(3, 6))]
        )


def test_several_labels_and_several_outputs_have_no_classes(tmp_path: Path) -> None:
    with refused(tmp_path / "run", ConfigurationError, "a model with 3 labels"):
        task = MultiLabelClassification(dense(3, 4), class_weight=WEIGHTS)
        learner(tmp_path / "run", task, "sgd", 0.1).fit([(numbers(6, 4), ids(2, 6, 3))])
    model = dense(3, 4)
    with pytest.raises(ConfigurationError, match="not compiled"):
        CompiledModel(model, class_weight=WEIGHTS)
    model.compile("sgd", ["mse", "mse"])
    with pytest.raises(ConfigurationError, match="several outputs"):
        CompiledModel(model, class_weight=WEIGHTS)
