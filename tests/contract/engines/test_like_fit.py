"""Models of every make train as Keras' own `fit` trains them: five updates, the same weights, the same epoch loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import BACKEND, assert_close, chunks, engine_of, evaluate, ids, numbers, train, twins

BATCH, UPDATES = 4, 5
ITEMS = BATCH * UPDATES
TOLERANCE = 1e-5


class Spread(layers.Layer):
    """Adds a loss of its own: how large the numbers are that pass through."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        return x


def several() -> keras.Model:
    """Two inputs and two outputs in dicts, layer losses, a frozen layer and a frozen batch normalisation."""
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    frozen = layers.Dense(4, activation="tanh", trainable=False)(a)
    hidden = layers.Concatenate()([frozen, layers.Dense(4, kernel_regularizer="l2")(b)])
    hidden = layers.BatchNormalization(momentum=0.8, trainable=False)(Spread()(hidden))
    hidden = layers.BatchNormalization(momentum=0.8)(layers.Dense(5)(hidden))
    outputs = {"kind": layers.Dense(3, name="kind")(hidden), "size": layers.Dense(1, name="size")(hidden)}
    return keras.Model({"a": a, "b": b}, outputs)


def listed() -> keras.Model:
    """The same in lists; one of the two outputs has weights of its own."""
    a, b = keras.Input((3,)), keras.Input((2,))
    hidden = layers.Dense(4, activity_regularizer="l2")(layers.Concatenate()([a, b]))
    return keras.Model([a, b], [layers.Dense(1, activation="sigmoid")(hidden), layers.Dense(2)(hidden)])


def recurrent() -> keras.Model:
    """A class for each token, with a mask from the embedding through a bidirectional layer."""
    return keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(6, 3, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.Dense(3),
        ]
    )


def attentive() -> keras.Model:
    """A causal transformer block with dropout."""
    tokens = keras.Input((4,), dtype="int32")
    x = layers.Embedding(6, 4)(tokens)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 2, dropout=0.1)(x, x, use_causal_mask=True))
    x = x + layers.Dropout(0.1)(layers.Dense(4, activation="gelu")(x))
    return keras.Model(tokens, layers.Dense(6)(layers.LayerNormalization()(x)))


def convolutional() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.SpatialDropout2D(0.2),
            layers.DepthwiseConv2D(2, padding="same"),
            layers.GroupNormalization(1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def perceptron() -> keras.Model:
    """Penalties on weights and on what they give, a constraint and dropout."""
    hidden = layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.01))
    constrained = layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(1.0))
    return keras.Sequential([keras.Input((3,)), hidden, layers.Dropout(0.2), constrained])


def dropped() -> keras.Model:
    return keras.Sequential([keras.Input((4, 3)), layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2), layers.Dense(3)])


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: optimizers.SGD(momentum=0.9),
    "Adam": optimizers.Adam,
    "AdamW": lambda: optimizers.AdamW(weight_decay=0.1, global_clipnorm=0.5),
    "RMSprop": lambda: optimizers.RMSprop(clipvalue=0.1),
}
WEIGHTS = np.linspace(0.5, 1.5, ITEMS, dtype="float32")
TOKENS = ids(6, ITEMS, 4)
TOKEN_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
INPUTS = numbers(ITEMS, 3), numbers(ITEMS, 2, seed=1)
CASES: dict[str, tuple[Callable[[], keras.Model], dict[str, Any], Any]] = {
    "several inputs and outputs": (
        several,
        {"loss": {"kind": TOKEN_LOSS, "size": "mse"}, "loss_weights": {"kind": 0.5, "size": 2.0}},
        (
            dict(zip("ab", INPUTS, strict=True)),
            {"kind": ids(3, ITEMS), "size": numbers(ITEMS, 1, seed=2)},
            {"kind": WEIGHTS, "size": WEIGHTS[::-1].copy()},
        ),
    ),
    "tuples": (listed, {"loss": ["binary_crossentropy", "mae"]}, (INPUTS, (ids(2, ITEMS, 1), numbers(ITEMS, 2)))),
    "lists": (listed, {"loss": ["binary_crossentropy", "mae"]}, ([*INPUTS], [ids(2, ITEMS, 1), numbers(ITEMS, 2)])),
    "recurrent": (recurrent, {"loss": TOKEN_LOSS}, (np.maximum(TOKENS, np.eye(4, dtype="int32")[0]), ids(3, ITEMS, 4))),
    "attention": (
        attentive,
        {"loss": TOKEN_LOSS},
        (TOKENS, np.roll(TOKENS, -1, axis=1), np.ones((ITEMS, 4), "float32")),
    ),
    "dropout of an LSTM": (dropped, {"loss": TOKEN_LOSS}, (numbers(ITEMS, 4, 3), ids(3, ITEMS))),
    **{name: (perceptron, {"loss": TOKEN_LOSS}, (INPUTS[0], ids(3, ITEMS), WEIGHTS)) for name in OPTIMIZERS},
    "convolutions": (
        convolutional,
        {"loss": "sparse_categorical_crossentropy"},
        (numbers(ITEMS, 6, 6, 1), ids(3, ITEMS), WEIGHTS),
    ),
}

EVALUATED = ("several inputs and outputs", "recurrent")  # compiling once more is what takes time


@pytest.mark.parametrize("case", CASES)
def test_five_updates_equal_those_of_keras(case: str) -> None:
    make, losses, data = CASES[case]
    ours, theirs = twins(make)
    rate = 0.01 if case in OPTIMIZERS else 0.05
    for model in (ours, theirs):
        eager = BACKEND != "jax"
        optimizer = OPTIMIZERS.get(case, OPTIMIZERS["SGD"])()
        model.compile(optimizer, run_eagerly=eager, jit_compile=not eager, **losses)
        model.optimizer.learning_rate = rate
    x, y, weight = (*data, None)[:3]
    told = theirs.fit(x, y, sample_weight=weight, batch_size=BATCH, shuffle=False, verbose=0)
    batches = chunks(data, BATCH)
    engine = engine_of(ours, None, batches[0])
    found = train(engine, batches, rate)
    evaluated = evaluate(engine, [data]) if case in EVALUATED else []
    engine.release()
    # Keras weighs batches by their items also where a mask leaves some tokens out
    assert np.mean([loss for loss, _ in found]) == pytest.approx(told.history["loss"][0], rel=TOLERANCE)
    assert_close(ours, theirs, TOLERANCE)
    for loss, _ in evaluated:
        expected = theirs.evaluate(x, y, sample_weight=weight, batch_size=ITEMS, verbose=0)
        assert loss == pytest.approx(float(np.ravel(expected)[0]), rel=TOLERANCE)
