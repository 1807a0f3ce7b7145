"""Cross-entropies have the value and the gradient of their definition, whichever activation the model ends in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import engine_of, ids, learner, numbers, refused, trained

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn_keras import Classification, MultiLabelClassification, Regression

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]

# the scores of eight items: what is far from 0 is clipped, by whatever makes probabilities of it
SCORES = np.array(
    [
        *([0.3, -0.7, 1.1], [40, -40, 0.5], [-40, -50, -30], [2, 0.1, -1]),
        *([60, 1, 2], [-0.2, 30, -0.4], [1.5, -1.5, 0.25], [-35, 0, 35]),
    ],
    "float32",
)
IDS = np.array([0, 1, 2, 1, 0, 2, 2, 0])
ONE_HOT = np.eye(3, dtype="float32")[IDS]
LOW, HIGH = float(np.float32(1e-7)), float(np.float32(1 - 1e-7))


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def shares(p: Array) -> Array:
    return np.clip(p / p.sum(-1, keepdims=True), LOW, HIGH)


def categorical(p: Array, y: Array = ONE_HOT) -> Any:
    return -np.sum(y * np.log(shares(p)), -1).mean()


def smoothed(p: Array) -> Any:
    return categorical(p, ONE_HOT * 0.7 + 0.1)


def categorical_focal(p: Array) -> Any:
    return np.sum(0.25 * (1 - shares(p)) ** 2 * -ONE_HOT * np.log(shares(p)), -1).mean()


def binary(p: Array) -> Any:
    p = np.clip(p, LOW, HIGH)
    return -np.mean(ONE_HOT * np.log(p) + (1 - ONE_HOT) * np.log(1 - p))


def binary_focal(p: Array) -> Any:
    """Balanced: alpha of 0.25 for what is true."""
    clipped = np.clip(p, LOW, HIGH)
    entropy = -(ONE_HOT * np.log(clipped) + (1 - ONE_HOT) * np.log(1 - clipped))
    factor = (1 - np.where(ONE_HOT == 1, p, 1 - p)) ** 2
    return np.mean(np.where(ONE_HOT == 1, 0.25, 0.75) * factor * entropy)


def model_of(activation: Any, *more: layers.Layer) -> keras.Model:
    last = layers.Dense(3, activation=activation, use_bias=False)
    model = keras.Sequential([keras.Input((len(SCORES),)), last, *more])
    last.set_weights([SCORES])
    return model


def compiled(loss: Any, activation: Any, *more: layers.Layer) -> keras.Model:
    model = model_of(activation, *more)
    model.compile("sgd", loss)
    return model


def functional(loss: Any) -> keras.Model:
    x = keras.Input((len(SCORES),))
    last = layers.Dense(3, use_bias=False, name="last")
    model = keras.Model(x, {"kind": ops.softmax(last(x))})
    last.set_weights([SCORES])
    model.compile("sgd", {"kind": loss})
    return model


def by_function(y: Any, p: Any) -> Any:
    return keras.losses.binary_crossentropy(y, p)


BALANCED = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)
ODD = keras.losses.CategoricalCrossentropy(label_smoothing=0.3)
CASES: dict[str, tuple[Callable[[], Any], Any, Function, Function]] = {
    "softmax, binary": (lambda: compiled("binary_crossentropy", "softmax"), ONE_HOT, softmax, binary),
    "softmax, binary by function": (lambda: compiled(by_function, "softmax"), ONE_HOT, softmax, binary),
    "softmax, binary, task": (
        lambda: MultiLabelClassification(model_of("softmax"), from_logits=False),
        ONE_HOT,
        softmax,
        binary,
    ),
    "softmax, focal": (lambda: compiled(BALANCED, None, layers.Softmax()), ONE_HOT, softmax, binary_focal),
    "softmax, categorical": (lambda: compiled("categorical_crossentropy", "softmax"), ONE_HOT, softmax, categorical),
    "softmax, sparse": (lambda: compiled("sparse_categorical_crossentropy", "softmax"), IDS, softmax, categorical),
    "softmax of ops, in a dict": (
        lambda: functional("sparse_categorical_crossentropy"),
        {"kind": IDS},
        softmax,
        categorical,
    ),
    "sigmoid, smoothed": (lambda: compiled(ODD, layers.Activation("sigmoid")), ONE_HOT, sigmoid, smoothed),
    "sigmoid, sparse, task": (
        lambda: Classification(model_of("sigmoid"), from_logits=False),
        IDS[:, None],
        sigmoid,
        categorical,
    ),
    "sigmoid, categorical focal": (
        lambda: compiled("categorical_focal_crossentropy", "sigmoid"),
        ONE_HOT,
        sigmoid,
        categorical_focal,
    ),
    "sigmoid, binary": (lambda: compiled("binary_crossentropy", "sigmoid"), ONE_HOT, sigmoid, binary),
    "softplus, sparse": (lambda: compiled("sparse_categorical_crossentropy", "softplus"), IDS, softplus, categorical),
}


def descended(activation: Function, loss: Function, steps: int, rate: float) -> tuple[list[float], Array]:
    """The losses by definition and the scores after so many steps, by gradients of differences in float64."""
    scores, values = SCORES.astype("float64"), []
    for _ in range(steps):
        values.append(float(loss(activation(scores))))
        gradient = np.zeros_like(scores)
        for place in np.ndindex(*scores.shape):
            step = np.zeros_like(scores)
            step[place] = 1e-6
            gradient[place] = (loss(activation(scores + step)) - loss(activation(scores - step))) / 2e-6
        scores = scores - rate * gradient
    return values, scores


@pytest.mark.parametrize("case", CASES)
def test_a_crossentropy_is_that_of_what_the_model_outputs_also_where_it_saturates(case: str) -> None:
    make, y, activation, loss = CASES[case]
    expected, scores = descended(activation, loss, 20, 0.5)
    task = make()
    batch = (np.eye(len(SCORES), dtype="float32"), y)
    found = [value for value, _ in trained(task, "sgd", [batch] * 20, 0.5)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    model = task if isinstance(task, keras.Model) else task.model
    np.testing.assert_allclose(ops.convert_to_numpy(model.trainable_variables[0]), scores, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("shape", "activation"),
    [((6,), None), ((6, 5), "softmax"), ((2, 3, 4), None)],
    ids=["sequences", "images", "volumes"],
)
def test_classes_of_the_points_of_images_train_as_by_arithmetic(shape: Any, activation: Any) -> None:
    x, y = numbers(4, *shape, 2), ids(3, 4, *shape)
    convolution = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}[len(shape)]
    ml.set_seed(1)
    model = keras.Sequential([keras.Input((*shape, 2)), convolution(3, 1, activation=activation)])
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    points, expected = np.eye(3)[y].reshape(-1, 3), []
    for _ in range(3):
        inputs = x.reshape(-1, 2)
        scores = softmax(inputs @ kernel.reshape(2, 3) + bias)
        expected.append(categorical(scores, points))
        error = (scores - points) / len(points)
        kernel, bias = kernel - 0.1 * (inputs.T @ error).reshape(kernel.shape), bias - 0.1 * error.sum(0)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None))
    found = trained(model, "sgd", [(x, y)] * 3, 0.1)
    assert found == [(pytest.approx(value, rel=1e-5), len(points)) for value in expected]
    for weight, value in zip(model.get_weights(), (kernel, bias), strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


class Unconnected(keras.Model):
    """Ends in a softmax over its one unit, which no graph shows."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return ops.softmax(self.dense(x))[:, 0]


def ending(*last: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), *last])


def two_outputs() -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, {"kind": layers.Dense(1, "softmax", name="kind")(x), "size": layers.Dense(1, name="size")(x)})


def with_loss(model: keras.Model, loss: Any) -> Any:
    """A compiled model, or a task where a task is given."""
    if loss in (Classification, MultiLabelClassification, Regression):
        return loss(model, **({"from_logits": False} if loss is MultiLabelClassification else {}))
    model.compile("sgd", loss)
    return model


SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
X, LABELS, CLASS = numbers(6, 4), ids(2, 6, 1), np.zeros((6, 1), "int32")
SEVERAL = {"kind": LABELS, "size": numbers(6, 1)}


def rounded(y: Any, p: Any) -> Any:
    return ops.mean(ops.cast(ops.not_equal(ops.round(p), ops.cast(y, p.dtype)), "float32"), axis=-1)


def standardised() -> layers.Layer:
    return layers.LayerNormalization(center=False, scale=False)


def positive(x: Any) -> Any:
    return ops.where(x > 0, 1.0, 0.0)


class Stepping(layers.Layer):
    """Applies a function without a gradient."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


class Partly(layers.Layer):
    """Has a gradient besides its steps."""

    def call(self, x: Any) -> Any:
        return x + ops.round(x) + ops.sign(x)


STEPS = {"round": ops.round, "floor": ops.floor, "ceil": ops.ceil, "sign": ops.sign, "trunc": ops.trunc}
UNIT, UNITS = r"same for all weights.*unit", "of their logarithms it is constant"
FLAT = "no gradient of the loss by any of 4 trainable variables"
STUCK: dict[str, tuple[Callable[[], Any], Any, Any, str]] = {
    "softmax": (lambda: ending(layers.Dense(1, "softmax")), "binary_crossentropy", LABELS, UNIT),
    "softmax layer": (lambda: ending(layers.Dense(1), layers.Softmax()), "binary_focal_crossentropy", LABELS, UNIT),
    "softmax, reshaped": (lambda: ending(layers.Dense(1, "softmax"), layers.Reshape((1, 1))), "mse", LABELS, UNIT),
    "normalised": (lambda: ending(layers.Dense(1), layers.UnitNormalization()), "kl_divergence", LABELS, UNIT),
    "normalised, task": (lambda: ending(layers.Dense(1), layers.UnitNormalization()), Regression, LABELS, UNIT),
    "standardised": (lambda: ending(layers.Dense(1), standardised()), "poisson", LABELS, UNIT),
    "log softmax": (lambda: ending(layers.Dense(1), layers.Activation("log_softmax")), Regression, LABELS, UNIT),
    "softmax, no graph": (Unconnected, "mse", LABELS[:, 0], UNIT),
    "softmax, task": (lambda: ending(layers.Dense(1, "softmax")), MultiLabelClassification, LABELS, UNIT),
    "softmax, of two outputs with one loss": (two_outputs, "mse", SEVERAL, UNIT),
    "softmax, of two outputs": (two_outputs, {"kind": "binary_crossentropy", "size": "mse"}, SEVERAL, UNIT),
    "log softmax, binary": (lambda: ending(layers.Dense(3, "log_softmax")), "binary_crossentropy", ONE_HOT[:6], UNITS),
    "log softmax, divergence": (lambda: ending(layers.Dense(3, "log_softmax")), "kl_divergence", ONE_HOT[:6], UNITS),
    "one unit, cosine": (lambda: ending(layers.Dense(1)), "cosine_similarity", LABELS, "over one unit"),
    "one class": (lambda: ending(layers.Dense(1, "sigmoid")), "categorical_crossentropy", LABELS, "over one class"),
    "one class, sparse": (lambda: ending(layers.Dense(1)), SPARSE, CLASS, "over one class"),
    "one class, task": (lambda: ending(layers.Dense(1)), Classification, CLASS, "over one class"),
    **{
        name: (lambda step=step: ending(layers.Dense(1), Stepping(step)), "mse", LABELS, FLAT)
        for name, step in STEPS.items()
    },
    "where": (lambda: ending(layers.Dense(1), Stepping(positive)), Regression, LABELS, FLAT),
    "ignored": (lambda: ending(layers.Dense(1)), lambda y, p: ops.mean(ops.abs(y), axis=-1), LABELS, FLAT),
    "loss": (lambda: ending(layers.Dense(1, "sigmoid")), rounded, LABELS, FLAT),
    "model": (lambda: ending(layers.Dense(1), Stepping(ops.stop_gradient)), Regression, LABELS, FLAT),
}


@pytest.mark.parametrize("case", STUCK)
def test_a_loss_that_no_weight_changes_is_refused_before_anything_is_written(tmp_path: Path, case: str) -> None:
    make, loss, y, said = STUCK[case]
    ml.set_seed(1)
    with refused(tmp_path / "run", ConfigurationError, said):
        learner(tmp_path / "run", with_loss(make(), loss), "sgd", 0.1).fit([(X, y)])


def test_what_trains_around_a_softmax_over_one_unit_is_not_refused() -> None:
    ml.set_seed(1)
    x = keras.Input((1, 4))
    attended = layers.MultiHeadAttention(1, 2)(x, x)
    one_key = keras.Model(x, layers.Dense(1, activation="sigmoid")(attended))
    for model, batch in (
        (with_loss(one_key, "binary_crossentropy"), (X[:, None], LABELS[:, None])),
        (with_loss(ending(layers.Dense(1, "softmax"), layers.Dense(1)), "mse"), (X, numbers(6, 1))),
        (with_loss(ending(layers.Dense(1)), "categorical_hinge"), (X, LABELS)),
        (with_loss(ending(layers.UnitNormalization()), "mse"), (X, numbers(6, 3))),
        (with_loss(ending(layers.Dense(1), layers.LayerNormalization(scale=False)), "mse"), (X, numbers(6, 1))),
        (with_loss(ending(layers.Dense(1), Partly()), "mse"), (X, numbers(6, 1))),
    ):
        engine_of(model, "sgd", batch)
