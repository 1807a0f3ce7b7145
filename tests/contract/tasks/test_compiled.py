"""Compiled Keras models are trained as they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
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
    trained,
    twins,
)

from multilearn.errors import ConfigurationError, DataError
from multilearn.metrics import Accuracy, Loss

WEIGHTS = np.linspace(0.2, 2, 24, dtype="float32")


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax", kernel_regularizer="l2")])


def binary() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])


def regressor() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(2, activity_regularizer="l2")])


def compiled(model: keras.Model, **arguments: Any) -> keras.Model:
    model.compile(optimizers.Adam(0.01), run_eagerly=BACKEND != "jax", jit_compile=BACKEND == "jax", **arguments)
    return model


def one_hot(y: np.ndarray) -> np.ndarray:
    return np.eye(3, dtype="float32")[y]


CASES = {
    "sparse by name": (classifier, "sparse_categorical_crossentropy", ids(3, 24)),
    "sparse, column, no weights": (classifier, keras.losses.SparseCategoricalCrossentropy(), ids(3, 24, 1)),
    "categorical": (classifier, keras.losses.CategoricalCrossentropy(label_smoothing=0.1), one_hot(ids(3, 24))),
    "binary by name": (binary, "binary_crossentropy", ids(2, 24)),
    "a function": (regressor, lambda y, p: keras.ops.sum(keras.ops.abs(y - p), axis=-1), numbers(24, 2)),
    "by weight": (regressor, keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"), numbers(24, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_compiled_model_follows_its_own_train_on_batch(case: str) -> None:
    make, loss, y = CASES[case]
    weighted = "no weights" not in case
    ours, theirs = (compiled(model, loss=loss) for model in twins(make))
    data = (numbers(24, 4), y, WEIGHTS) if weighted else (numbers(24, 4), y)
    batches = chunks(data, 8)
    engine = engine_of(ours, None, batches[0])
    found, expected = train(engine, batches, 0.01), []
    for batch in batches:
        theirs.reset_metrics()
        expected.append(float(theirs.train_on_batch(*batch)))
    engine.release()
    np.testing.assert_allclose([value for value, _ in found], expected, rtol=1e-5)
    by_weight = weighted and getattr(loss, "reduction", "") == "mean_with_sample_weight"
    counts = [batch[2].sum() if by_weight else len(batch[0]) for batch in batches]
    np.testing.assert_allclose([count for _, count in found], counts, rtol=1e-6)
    assert_close(ours, theirs, 1e-5)


def test_a_model_compiled_without_a_loss_minimises_its_layers_losses() -> None:
    ours, theirs = (compiled(model) for model in twins(regressor))
    x = numbers(16, 4)
    theirs.train_on_batch(x)
    for batch in (x, (x,)):
        engine = engine_of(ours, None, batch)
    ((loss, count),) = evaluate(engine, [x])
    train(engine, [x], 0.01)
    engine.release()
    assert_close(ours, theirs, 1e-5)
    kernel = state(twins(regressor)[0])["layers/dense.0/kernel"]
    assert (loss, count) == (pytest.approx(0.01 * ((x @ kernel) ** 2).sum() / 16, rel=1e-4), 16)


def test_loss_and_accuracy_of_a_compiled_classifier() -> None:
    x, y, metrics = numbers(24, 4), ids(3, 24), (Loss(), Accuracy())
    for loss, targets in (("sparse_categorical_crossentropy", y), ("categorical_crossentropy", one_hot(y))):
        model = compiled(classifier(), loss=loss)
        engine = engine_of(model, None, (x, targets), metrics=metrics)
        found = entries(metrics, engine.fetch([engine.eval_step((x, targets))]))
        kernel, bias = model.get_weights()
        scores = x @ kernel + bias
        penalty = 0.01 * np.sum(kernel**2)
        assert found["Loss"].value == pytest.approx(cross_entropy(scores, y).mean() + penalty, rel=1e-5)
        assert found["Accuracy"].value == pytest.approx(np.mean(scores.argmax(-1) == y))


def test_accuracy_of_a_binary_classifier_is_refused() -> None:
    batch = (numbers(24, 4), ids(2, 24, 1))
    with pytest.raises(ConfigurationError, match="Accuracy needs a task that outputs classes"):
        engine_of(compiled(binary(), loss="binary_crossentropy"), None, batch, metrics=(Loss(), Accuracy()))


class Rescaled(keras.Model):
    """Its loss is its own: twice the compiled one."""

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        return 2 * super().compute_loss(x, y, y_pred, sample_weight)


def test_an_overridden_compute_loss_is_asked_also_without_training_among_its_arguments() -> None:
    def make() -> keras.Model:
        x = keras.Input((4,))
        return Rescaled(x, layers.Dense(2)(x))

    ours, theirs = (compiled(model, loss="mse") for model in twins(make))
    batch = (numbers(8, 4), numbers(8, 2))
    theirs.train_on_batch(*batch)
    trained(ours, None, [batch], 0.01)
    assert_close(ours, theirs, 1e-5)


def test_going_on_from_keras_own_fit() -> None:
    ours, theirs = (compiled(model, loss="mse") for model in twins(regressor))
    data = (numbers(16, 4), numbers(16, 2))
    for model in (ours, theirs):
        model.fit(*data, batch_size=8, shuffle=False, verbose=0)
    theirs.fit(*data, batch_size=8, shuffle=False, verbose=0)
    trained(ours, None, chunks(data, 8), 0.01)
    assert_close(ours, theirs, 1e-5)


def over_time() -> keras.Model:
    return keras.Sequential([keras.Input((4, 5)), layers.Dense(3, activation="softmax")])


def masked_over_time() -> keras.Model:
    return keras.Sequential([keras.Input((4, 5)), layers.Masking(), layers.Dense(3)])


def over_pixels() -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 5)), layers.Dense(3)])


def over_time_twice() -> keras.Model:
    x = keras.Input((4, 5))
    return keras.Model(x, {"kind": layers.Dense(3, name="kind")(x), "size": layers.Dense(1, name="size")(x)})


def along(weight: np.ndarray, *lengths: int) -> np.ndarray:
    """A weight of rows, (batch,), as one for each of their items, (batch, *lengths)."""
    return np.broadcast_to(weight.reshape(-1, *[1] * len(lengths)), (len(weight), *lengths)).copy()


LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BY_WEIGHT = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
SEQUENCES = (numbers(16, 4, 5), ids(3, 16, 4))
PADDED = (numbers(16, 4, 5) * (np.arange(4) < 2 + ids(3, 16, 1))[..., None], ids(3, 16, 4))
ROWS = {
    "sequences": (over_time, "sparse_categorical_crossentropy", SEQUENCES, (4,), (16,)),
    "masked, by weight": (masked_over_time, BY_WEIGHT, PADDED, (4,), (16,)),
    "images": (over_pixels, LOGITS, (numbers(16, 4, 4, 5), ids(3, 16, 4, 4)), (4, 4), (16, 1)),
    "numbers": (over_pixels, "mse", (numbers(16, 4, 4, 5), numbers(16, 4, 4, 3)), (4, 4), (16,)),
}


@pytest.mark.parametrize("case", ROWS)
def test_weights_of_rows_are_those_of_every_item_of_the_row(case: str) -> None:
    """With as many rows in a batch as there are steps in each: Keras itself would take them for weights of steps."""
    make, loss, (x, y), lengths, shape = ROWS[case]
    weight = WEIGHTS[:16] * (np.arange(16) % 3 > 0)
    model, spelled = (compiled(each, loss=loss) for each in twins(make))
    expected = []
    for batch in chunks((x, y, along(weight, *lengths)), 4):
        spelled.reset_metrics()
        expected.append(float(spelled.train_on_batch(*batch)))
    found = [value for value, _ in trained(model, None, chunks((x, y, weight.reshape(shape)), 4), 0.01)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert_close(model, spelled, 1e-6)


def test_weights_of_rows_of_several_outputs() -> None:
    losses = {"kind": LOGITS, "size": "mse"}
    model, spelled = (compiled(each, loss=losses) for each in twins(over_time_twice))
    x, y = numbers(16, 4, 5), {"kind": ids(3, 16, 4), "size": numbers(16, 4, 1)}
    one, other = WEIGHTS[:16], WEIGHTS[8:].copy()
    for batch in chunks((x, y, {"kind": along(one, 4), "size": along(other, 4)}), 4):
        spelled.train_on_batch(*batch)
    trained(model, None, chunks((x, y, {"kind": along(one, 4), "size": other}), 4), 0.01)
    assert_close(model, spelled, 1e-6)


def test_weights_with_more_axes_than_the_loss_has_values_are_refused() -> None:
    model = compiled(regressor(), loss="mse")
    with pytest.raises(DataError, match=r"weights of shape \(2, 2\), and loss values of shape \(2,\)"):
        engine_of(model, None, (numbers(8, 4), numbers(8, 2), numbers(8, 2)))


@pytest.mark.parametrize("keyed", [True, False])
def test_logits_of_one_of_several_outputs_that_ends_in_an_activation_are_refused(keyed: bool) -> None:
    x = keras.Input((4,))
    parts = {"kind": layers.Dense(3, name="kind")(x), "label": layers.Dense(2, "sigmoid", name="label")(x)}
    model = keras.Model(x, parts if keyed else list(parts.values()))
    losses = {
        "kind": keras.losses.CategoricalCrossentropy(from_logits=True),
        "label": keras.losses.BinaryCrossentropy(from_logits=True),
    }
    y = {"kind": one_hot(ids(3, 8)), "label": np.ones((8, 2), "float32")}
    model.compile("sgd", losses if keyed else list(losses.values()))
    batch = numbers(8, 4), y if keyed else tuple(y.values())
    with pytest.raises(ConfigurationError, match="the output 'label' ends in a sigmoid"):
        engine_of(model, "sgd", batch)
    losses["label"] = keras.losses.BinaryCrossentropy()
    model.compile("sgd", losses if keyed else list(losses.values()))
    engine_of(model, "sgd", batch)
