"""Models of every make train as Keras' own `fit` trains them: five updates, the same weights, the same epoch loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import BACKEND, assert_close, chunks, engine_of, evaluate, ids, numbers, train, twins

from multilearn_keras import Classification

BATCH, UPDATES = 4, 5
ITEMS = BATCH * UPDATES
TOLERANCE = 1e-5


class Spread(layers.Layer):
    """Adds a loss of its own: how large the numbers are that pass through."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


def several() -> keras.Model:
    """Two inputs and two outputs in dicts, layer losses, a shared and a frozen layer, a frozen batch normalisation."""
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    frozen, shared = layers.Dense(3, activation="tanh", trainable=False)(a), layers.Dense(3)
    hidden = layers.Concatenate()([frozen, shared(a), shared(layers.Dense(3, kernel_regularizer="l2")(b))])
    hidden = layers.BatchNormalization(momentum=0.8, trainable=False)(Spread()(hidden))
    hidden = layers.BatchNormalization(momentum=0.8)(layers.Dense(9)(hidden))
    outputs = {"kind": layers.Dense(3, name="kind")(hidden), "size": layers.Dense(1, name="size")(hidden)}
    return keras.Model({"a": a, "b": b}, outputs)


def listed() -> keras.Model:
    """The same in lists; one of the two outputs has weights of its own."""
    a, b = keras.Input((3,)), keras.Input((3,))
    hidden = layers.Dense(4, activity_regularizer="l2")(layers.Concatenate()([a, b]))
    return keras.Model([a, b], [layers.Dense(1, activation="sigmoid")(hidden), layers.Dense(2)(hidden)])


def recurrent() -> keras.Model:
    """A class for each token, with a mask from the embedding through a layer that drops out."""
    return keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(6, 3, mask_zero=True),
            layers.LSTM(3, return_sequences=True, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(3),
        ]
    )


def attentive() -> keras.Model:
    """A causal transformer block with dropout."""
    tokens = keras.Input((4,), dtype="int32")
    x = layers.Embedding(6, 4)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 2, dropout=0.1)(x, x, use_causal_mask=True))
    return keras.Model(tokens, layers.Dense(6)(x + layers.Dense(4, activation="gelu")(x)))


def convolutional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.SpatialDropout2D(0.2),
            layers.GroupNormalization(1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def perceptron() -> keras.Model:
    """Penalties on weights and on what they give, a constraint and dropout."""
    hidden = layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.01))
    constrained = layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(1.0))
    return keras.Sequential([keras.Input((3,)), hidden, layers.Dropout(0.2), constrained])


WEIGHTS = np.linspace(0.5, 1.5, ITEMS, dtype="float32")
TOKENS = ids(6, ITEMS, 4)
INPUTS = numbers(ITEMS, 3), numbers(ITEMS, 3, seed=1)
LISTED = (INPUTS, (ids(2, ITEMS, 1), numbers(ITEMS, 2)))
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Case = tuple[Callable[[], keras.Model], Callable[[], Any], dict[str, Any], Any]
CASES: dict[str, Case] = {
    "several inputs and outputs": (
        several,
        lambda: optimizers.SGD(momentum=0.9, weight_decay=0.1),
        {"loss": {"kind": LOGITS, "size": "mse"}, "loss_weights": {"kind": 0.5, "size": 2.0}},
        (
            dict(zip("ab", INPUTS, strict=True)),
            {"kind": ids(3, ITEMS), "size": numbers(ITEMS, 1, seed=2)},
            {"kind": WEIGHTS, "size": WEIGHTS[::-1].copy()},
        ),
    ),
    "tuples": (listed, lambda: optimizers.RMSprop(clipvalue=0.1), {"loss": ["binary_crossentropy", "mae"]}, LISTED),
    "recurrent": (
        recurrent,
        lambda: optimizers.SGD(momentum=0.9),
        {"loss": LOGITS},
        (np.maximum(TOKENS, np.eye(4, dtype="int32")[0]), ids(3, ITEMS, 4)),
    ),
    "attention": (
        attentive,
        lambda: optimizers.SGD(momentum=0.9),
        {"loss": LOGITS},
        (TOKENS, np.roll(TOKENS, -1, axis=1), np.ones((ITEMS, 4), "float32")),
    ),
    "perceptron": (perceptron, optimizers.Adam, {"loss": LOGITS}, (INPUTS[0], ids(3, ITEMS), WEIGHTS)),
    "convolutions": (
        convolutional,
        lambda: optimizers.AdamW(weight_decay=0.1, global_clipnorm=0.5),
        {"loss": LOGITS},
        (numbers(ITEMS, 6, 6, 1), ids(3, ITEMS), WEIGHTS),
    ),
}
EVALUATED = "several inputs and outputs"  # compiling once more is what takes time


def as_lists(batch: Any) -> Any:
    """The same arrays in lists."""
    return tuple([*part] for part in batch)


@pytest.mark.parametrize("case", CASES)
def test_five_updates_equal_those_of_keras(case: str) -> None:
    make, optimizer, compiled, data = CASES[case]
    ours, theirs = twins(make)
    rate = 0.01 if optimizer is optimizers.Adam else 0.05
    eager = BACKEND != "jax"
    theirs.compile(optimizer(), run_eagerly=eager, jit_compile=not eager, **compiled)
    theirs.optimizer.learning_rate = rate
    x, y, weight = (*data, None)[:3]
    told = theirs.fit(x, y, sample_weight=weight, batch_size=BATCH, shuffle=False, verbose=0)
    batches = chunks(data, BATCH)
    if data is LISTED:
        batches[2:] = map(as_lists, batches[2:])
    if compiled["loss"] is LOGITS:
        engine = engine_of(Classification(ours, compiled["loss"]), optimizer(), batches[0])
    else:
        ours.compile(optimizer(), **compiled)
        engine = engine_of(ours, None, batches[0])
    found = train(engine, batches, rate)
    evaluated = evaluate(engine, [data]) if case == EVALUATED else []
    engine.release()
    # Keras weighs batches by their items also where a mask leaves some tokens out
    assert np.mean([loss for loss, _ in found]) == pytest.approx(told.history["loss"][0], rel=TOLERANCE)
    assert_close(ours, theirs, TOLERANCE)
    for loss, _ in evaluated:
        expected = theirs.evaluate(x, y, sample_weight=weight, batch_size=ITEMS, verbose=0)
        assert loss == pytest.approx(float(np.ravel(expected)[0]), rel=TOLERANCE)
