"""Losses of layers, any kind of array, batches of one item, unbuilt models: training is what arithmetic says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.by_hand import descended
from support.training import (
    BACKEND,
    assert_close,
    chunks,
    cross_entropy,
    engine_of,
    evaluate,
    ids,
    numbers,
    train,
    trained,
    twins,
)

from multilearn_keras import Classification, Regression
from multilearn_keras.state.keys import flatten

LR = 0.01


def cross_entropy_of(outputs: np.ndarray, y: np.ndarray) -> float:
    return float(cross_entropy(outputs, y).mean())


class Penalised(layers.Layer):
    """Adds a loss of its own, of several numbers, to whatever it passes on."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.01 * keras.ops.sum(keras.ops.square(x), axis=0))
        return x


def test_a_loss_that_a_layer_adds_is_added_up_on_both_splits() -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(5), Penalised(), layers.Dense(3)]))
    batches = chunks((numbers(16, 4), ids(3, 16)), 8)

    def loss(weights: list[np.ndarray], batch: Any) -> float:
        (x, y), (kernel, bias, last, last_bias) = batch, weights
        hidden = x @ kernel + bias
        return cross_entropy_of(hidden @ last + last_bias, y) + 0.01 * float((hidden**2).sum())

    weights, expected = model.get_weights(), []
    for batch in batches:
        expected.append(loss(weights, batch))
        weights = descended(lambda weights, batch=batch: loss(weights, batch), weights, LR)
    engine = engine_of(Classification(model), optimizers.SGD(LR), batches[0])
    np.testing.assert_allclose([found for found, _ in train(engine, batches, LR)], expected, rtol=1e-5)
    ((evaluated, _),) = evaluate(engine, batches[:1])
    assert evaluated == pytest.approx(loss(weights, batches[0]), rel=1e-5)
    engine.release()
    for mine, its in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-5)


def missing() -> keras.Model:
    """The model computes something that its output does not depend on."""
    x = keras.Input((4,))
    return Discarding(x, layers.Dense(3)(x))


class Discarding(keras.Model):
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.unused = layers.Dense(2)
        self.unused.build((None, 4))


def test_a_missing_gradient_is_zero_so_that_weight_decay_applies_alike() -> None:
    model, _ = twins(missing)
    before = np.array(keras.ops.convert_to_numpy(model.unused.kernel.value))
    batch = (numbers(8, 4), ids(3, 8))
    trained(Classification(model), optimizers.AdamW(LR, weight_decay=0.5), [batch] * 3, LR)
    after = keras.ops.convert_to_numpy(model.unused.kernel.value)
    np.testing.assert_allclose(after, before * (1 - 0.5 * LR) ** 3, rtol=1e-6)


def strange(kind: str, x: np.ndarray) -> np.ndarray:
    """The same numbers in another kind of array."""
    if kind == "read-only":
        x = x.copy()
        x.flags.writeable = False
        return x
    if kind == "reversed":
        return x[::-1].copy()[::-1]
    if kind == "every other":
        return np.repeat(x, 2, axis=0)[::2]
    if kind == "fortran":
        return np.asfortranarray(x)
    return x.astype(kind)


def same_for_all(make: Callable[[], keras.Model], reference: Any, others: dict[str, Any]) -> None:
    """Each of the batches must be accepted as an example, and trained on like the reference."""
    task = Classification(twins(make)[0])
    engine = engine_of(task, optimizers.SGD(LR, momentum=0.9), reference)
    start = engine.record()

    def outcome(batch: Any) -> Any:
        engine.restore(start)
        found = train(engine, [batch] * 2, LR)
        return found, [tensor.array.tobytes() for tensor in flatten(engine.record()["model"]).values()]

    expected = outcome(reference)
    for kind, batch in others.items():
        engine_of(Classification(make()), optimizers.SGD(), batch)
        assert outcome(batch) == expected, kind
    engine.release()


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def test_inputs_of_any_kind_of_float_array() -> None:
    x, y = numbers(8, 4).astype("float16").astype("float32"), ids(3, 8)
    kinds = ["read-only", "reversed", "every other", "fortran", "float64", ">f4", "float16"]
    tensors = tuple(map(keras.ops.convert_to_tensor, (x, y)))
    same_for_all(linear, (x, y), {"tensors": tensors, **{kind: (strange(kind, x), y) for kind in kinds}})


def test_labels_of_any_kind_of_whole_number() -> None:
    x, y = numbers(8, 4), ids(3, 8)
    kinds = ["int64", "uint8", "int8", "uint16", "uint32", "uint64", ">i4", "reversed", "read-only", "float32"]
    same_for_all(linear, (x, y), {kind: (x, strange(kind, y)) for kind in kinds})


def test_images_of_whole_numbers_are_what_keras_makes_of_them() -> None:
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((2, 2, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)])

    images, labels = np.random.default_rng(0).integers(0, 256, (8, 2, 2, 1)).astype("float32"), ids(3, 8)
    kinds = ["uint8", "int64"]
    same_for_all(make, (images, labels), {kind: (images.astype(kind), labels) for kind in kinds})


def test_inputs_that_are_true_or_false_are_ones_and_zeros() -> None:
    x, y = (numbers(8, 4) > 0).astype("float32"), ids(3, 8)
    same_for_all(linear, (x, y), {"bool": (x.astype("bool"), y)})


def test_one_item_makes_a_batch() -> None:
    """Also for batch normalisation, which is over positions here."""

    def make() -> keras.Model:
        between = layers.Dense(2, use_bias=False), layers.BatchNormalization(momentum=0.8), layers.Flatten()
        return keras.Sequential([keras.Input((4, 2)), *between, layers.Dense(3)])

    model, _ = twins(make)
    x, y = batch = numbers(1, 4, 2), ids(3, 1)

    def loss(weights: list[np.ndarray]) -> float:
        kernel, gamma, beta, last, bias = weights
        hidden = x @ kernel
        normal = (hidden - hidden.mean((0, 1))) / np.sqrt(hidden.var((0, 1)) + 1e-3) * gamma + beta
        return cross_entropy_of(normal.reshape(1, -1) @ last + bias, y)

    before = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    ((found, count),) = trained(Classification(model), optimizers.SGD(LR), [batch], LR)
    assert (found, count) == (pytest.approx(loss(before), rel=1e-5), 1)
    for mine, its in zip(model.trainable_weights, descended(loss, before, LR), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(mine), its, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.layers[1].moving_mean, 0.2 * (x @ before[0]).mean((0, 1)), rtol=1e-5, atol=1e-6)


class Late(keras.Model):
    """Builds its layers when it is first called."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(4, activation="tanh")
        self.flat = layers.Flatten()
        self.head = layers.Dense(3)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.flat(self.hidden(x)))


def sequential() -> keras.Model:
    return keras.Sequential([layers.Dense(4, activation="tanh"), layers.Flatten(), layers.Dense(3)])


@pytest.mark.parametrize("make", [Late, sequential])
def test_an_unbuilt_model_is_built_on_the_first_batch(make: Callable[[], keras.Model]) -> None:
    ours, theirs = twins(make)
    x, y = numbers(8, 2, 3), ids(3, 8)
    theirs(keras.Input((2, 3)))
    assert not ours.built
    engine = engine_of(Classification(ours), optimizers.SGD(LR), (x, y))
    assert_close(ours, theirs, 0)
    train(engine, [(x, y)], LR)
    engine.release()

    def loss(weights: list[np.ndarray]) -> float:
        kernel, bias, last, last_bias = weights
        return cross_entropy_of(np.tanh(x @ kernel + bias).reshape(8, -1) @ last + last_bias, y)

    for mine, its in zip(ours.get_weights(), descended(loss, theirs.get_weights(), LR), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def test_double_precision_is_kept_from_the_batch_to_the_weights() -> None:
    if BACKEND == "jax":
        pytest.skip("JAX computes in double precision only where the process asks for it")
    batch = (numbers(8, 4).astype("float64") / 3, numbers(8, 1, seed=1).astype("float64") / 3)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        ours, theirs = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
        theirs.compile(optimizers.SGD(0.5), "mse", run_eagerly=True)
        theirs.train_on_batch(*batch)
        trained(Regression(ours), optimizers.SGD(0.5), [batch], 0.5)
        assert_close(ours, theirs, 1e-14)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
