"""A model with a fault on one framework, for diff-step: `faulty.py FAULT FRAMEWORK`."""

from __future__ import annotations

import sys

import multilearn as ml

# isort: split
import keras
import numpy as np
from keras import ops

from multilearn_keras import Classification

FAULT, FRAMEWORK = sys.argv[1:3]
FAULTY = keras.backend.backend() == FRAMEWORK


def wrong(fault: str) -> bool:
    """Whether this is where something goes wrong."""
    return FAULTY and fault == FAULT


class Gain(keras.layers.Layer):
    """Nothing to see, unless it is faulty."""

    def call(self, x: object, training: bool = False) -> object:
        if wrong("output"):
            return x * 1.001
        if wrong("gradient"):
            # the value of x, with half of its gradient
            return x * 0.5 + ops.stop_gradient(x) * 0.5
        if wrong("evaluation") and not training:
            return x * 1.001
        return x


class Block(keras.layers.Layer):
    """A layer in a layer, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = Gain()
        self.inner = keras.layers.Dense(8, activation="tanh")

    def call(self, x: object, training: bool = False) -> object:
        return self.gain(self.inner(x), training=training)


class Noting(keras.layers.Layer):
    """Leaves a note at its output, as Keras does with the logits before a softmax."""

    def call(self, x: object) -> object:
        y = x * 1.0
        if wrong("loss by a note"):
            y._noted = x * 1.1
        return y


class Loss(keras.losses.SparseCategoricalCrossentropy):
    """Cross entropy."""

    def call(self, y_true: object, y_pred: object) -> object:
        values = super().call(y_true, getattr(y_pred, "_noted", y_pred))
        return values * 1.001 if wrong("loss") else values


ml.set_seed(3)
inputs = keras.Input((5, 6))
hidden = keras.layers.LSTM(8, dropout=0.2, return_sequences=True)(inputs)
block = Block()
hidden = block(hidden) + ops.sin(hidden)
hidden = keras.layers.LayerNormalization()(block(keras.layers.Dropout(0.1)(hidden)))
outputs = Noting()(keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(hidden)))
model = keras.Model(inputs, outputs)
if wrong("weights"):
    block.inner.kernel.assign(block.inner.kernel * 1.001)

rng = np.random.default_rng(0)
x, y = rng.normal(size=(48, 5, 6)).astype("float32"), rng.integers(0, 3, 48)
if wrong("batch"):
    x[:, 2, 3] += 1.0
train = ml.DataLoader((x, y), batch_size=16, shuffle=True)
optimizer = keras.optimizers.Adam(epsilon=1e-2 if wrong("update") else 1e-7)
task = Classification(model, loss=Loss(from_logits=True))
ml.LearnerBuilder("runs/{backend}").build(task, optimizer, 1e-3).fit(train, train)
raise SystemExit("fit went on")
