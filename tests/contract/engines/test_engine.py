"""Losses of layers, frozen and shared layers, any kind of array: training is what Keras' train_on_batch computes."""

from __future__ import annotations

from collections.abc import Callable
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
    evaluate,
    ids,
    numbers,
    state,
    train,
    trained,
    twins,
)

from multilearn_keras import Classification, Regression
from multilearn_keras.state.keys import flatten

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy
LR = 0.01


def normalised() -> keras.Model:
    between = layers.Dense(4, use_bias=False), layers.BatchNormalization(momentum=0.8), layers.ReLU()
    return keras.Sequential([keras.Input((4, 2)), *between, layers.Flatten(), layers.Dense(3)])


def compiled(model: keras.Model, optimizer: Any, loss: Any) -> keras.Model:
    # eagerly: what is compared is arithmetic, and tracing costs a second
    model.compile(optimizer, loss, run_eagerly=BACKEND != "jax", jit_compile=BACKEND == "jax")
    return model


class Penalised(layers.Layer):
    """Adds a loss of its own, of several numbers, to whatever it passes on."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.01 * keras.ops.sum(keras.ops.square(x), axis=0))
        return x


def test_a_loss_that_a_layer_adds_is_added_up_on_both_splits() -> None:
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((4,)), layers.Dense(5), Penalised(), layers.Dense(3)])

    ours, theirs = twins(make)
    batches = chunks((numbers(16, 4), ids(3, 16)), 8)
    keras_model = compiled(theirs, optimizers.SGD(LR), CROSS_ENTROPY(from_logits=True))
    for batch in batches:
        keras_model.train_on_batch(*batch)
    engine = engine_of(Classification(ours), optimizers.SGD(LR), batches[0])
    train(engine, batches, LR)
    ((loss, _),) = evaluate(engine, batches[:1])
    engine.release()
    assert_close(ours, theirs, 1e-5)
    (x, y), (kernel, bias, last, last_bias) = batches[0], theirs.get_weights()
    hidden = x @ kernel + bias
    expected = cross_entropy(hidden @ last + last_bias, y).mean() + 0.01 * (hidden**2).sum()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_frozen_layers_stay_and_shared_ones_get_the_sum_of_their_gradients() -> None:
    def make() -> keras.Model:
        left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
        shared, frozen = layers.Dense(4), layers.Dense(4, trainable=False)
        normal = layers.BatchNormalization(trainable=False)
        joined = normal(layers.Concatenate()([shared(left), shared(right), frozen(left)]))
        return keras.Model({"left": left, "right": right}, layers.Dense(3)(joined))

    ours, theirs = twins(make)
    before = state(ours)
    data = ({"left": numbers(16, 3), "right": numbers(16, 3, seed=1)}, ids(3, 16))
    batches = chunks(data, 8)
    keras_model = compiled(theirs, optimizers.AdamW(LR), CROSS_ENTROPY(from_logits=True))
    for batch in batches:
        keras_model.train_on_batch(*batch)
    trained(Classification(ours), optimizers.AdamW(LR), batches, LR)
    assert_close(ours, theirs, 1e-5)
    moved = {key for key, value in state(ours).items() if value.tobytes() != before[key].tobytes()}
    assert moved == {f"layers/dense.{k}/{part}" for k in (0, 2) for part in ("kernel", "bias")}


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
    """Each of the batches must be accepted as an example, and trained and evaluated on like the reference."""
    task = Classification(twins(make)[0])
    engine = engine_of(task, optimizers.SGD(LR, momentum=0.9), reference)
    start = engine.record()

    def outcome(batch: Any) -> Any:
        engine.restore(start)
        tensors = flatten(engine.record()["model"])
        return train(engine, [batch] * 2, LR), evaluate(engine, [batch]), [t.array.tobytes() for t in tensors.values()]

    expected = outcome(reference)
    for kind, batch in others.items():
        engine_of(Classification(twins(make)[1]), optimizers.SGD(), batch)
        assert outcome(batch) == expected, kind
    engine.release()


def linear() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(3)])


def test_inputs_of_any_kind_of_float_array() -> None:
    x, y = numbers(8, 4).astype("float16").astype("float32"), ids(3, 8)
    kinds = ["read-only", "reversed", "every other", "fortran", "float64", ">f4", "float16"]
    same_for_all(linear, (x, y), {kind: (strange(kind, x), y) for kind in kinds})


def test_labels_of_any_kind_of_whole_number() -> None:
    x, y = numbers(8, 4), ids(3, 8)
    kinds = ["int64", "uint8", "int8", "uint16", "uint32", "uint64", ">i4", "reversed", "read-only", "float32"]
    same_for_all(linear, (x, y), {kind: (x, strange(kind, y)) for kind in kinds})


@pytest.mark.parametrize("kinds", [["uint8", "int64", ">i4", "uint16"], ["bool"]], ids=str)
def test_images_of_whole_numbers_are_what_keras_makes_of_them(kinds: list[str]) -> None:
    def make() -> keras.Model:
        return keras.Sequential(
            [keras.Input((4, 4, 1)), layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
        )

    images = np.random.default_rng(0).integers(0, 2 if kinds == ["bool"] else 256, (8, 4, 4, 1)).astype("float32")
    labels = ids(3, 8)
    same_for_all(make, (images, labels), {kind: (images.astype(kind), labels) for kind in kinds})


def test_one_item_makes_a_batch() -> None:
    ours, theirs = twins(normalised)
    batches = chunks((numbers(9, 4, 2), ids(3, 9)), 8)
    assert [len(batch[1]) for batch in batches] == [8, 1]
    keras_model = compiled(theirs, optimizers.SGD(LR), CROSS_ENTROPY(from_logits=True))
    for batch in batches:
        keras_model.train_on_batch(*batch)
    assert [count for _, count in trained(Classification(ours), optimizers.SGD(LR), batches, LR)] == [8, 1]
    assert_close(ours, theirs, 1e-5)


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
    batches = chunks((numbers(12, 2, 3), ids(3, 12)), 8)
    theirs(numbers(1, 2, 3))
    engine = engine_of(Classification(ours), optimizers.SGD(LR), batches[0])
    assert_close(ours, theirs, 0)
    train(engine, batches, LR)
    evaluate(engine, batches)
    engine.release()
    trained(Classification(theirs), optimizers.SGD(LR), batches, LR)
    assert_close(ours, theirs, 1e-6)
    assert ours.predict(numbers(5, 2, 3), verbose=0).shape == (5, 3)


def test_double_precision_is_kept_from_the_batch_to_the_weights() -> None:
    if BACKEND == "jax":
        pytest.skip("JAX computes in double precision only where the process asks for it")
    batch = (numbers(8, 4).astype("float64") / 3, numbers(8, 1, seed=1).astype("float64") / 3)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        ours, theirs = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
        compiled(theirs, optimizers.SGD(0.5), "mse").train_on_batch(*batch)
        trained(Regression(ours), optimizers.SGD(0.5), [batch], 0.5)
        assert_close(ours, theirs, 1e-14)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
