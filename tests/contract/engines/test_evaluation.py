"""Evaluation looks, and leaves everything as it was."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
from keras import layers, optimizers
from support.training import (
    BACKEND,
    assert_equal,
    chunks,
    engine_of,
    evaluate,
    ids,
    learner,
    numbers,
    state,
    train,
    twins,
)

from multilearn import DataLoader
from multilearn_keras import Classification
from multilearn_keras.state.keys import flatten


class Drawing(layers.Layer):
    """Draws and counts whenever it is called, in training or not."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(5)
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def restless() -> keras.Model:
    """Everything that is tempted to move during evaluation."""
    return keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.BatchNormalization(momentum=0.5),
            layers.SimpleRNN(3, recurrent_dropout=0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.5),
            Drawing(),
            layers.Dense(3),
        ]
    )


def framework_stream() -> bytes:
    if BACKEND != "torch":
        return b""
    import torch

    return torch.get_rng_state().numpy().tobytes()


def test_evaluation_changes_no_variable_and_no_random_stream() -> None:
    model, _ = twins(restless)
    batches = chunks((numbers(16, 3, 2), ids(3, 16)), 8)
    engine = engine_of(Classification(model), optimizers.Adam(), batches[0])
    train(engine, batches, 0.01)

    def everything() -> Any:
        record = engine.record()
        tensors = {key: leaf for part in ("model", "optim") for key, leaf in flatten({part: record[part]}).items()}
        unseeded = record["random"]["unseeded"]
        return (
            {key: tensor.array.tobytes() for key, tensor in tensors.items()},
            None if unseeded is None else unseeded.array.tobytes(),
            random.getstate(),
            np.random.get_state()[1].tobytes(),
            framework_stream(),
        )

    before = everything()
    first, second = evaluate(engine, batches), evaluate(engine, batches)
    assert first == second  # also what draws, draws the same again
    assert everything() == before
    engine.release()


def test_the_trained_weights_are_equal_bit_for_bit_with_and_without_validation(tmp_path: Any) -> None:
    train_data, valid_data = (numbers(16, 3, 2), ids(3, 16)), (numbers(8, 3, 2, seed=1), ids(3, 8))
    models = twins(restless)
    losses = []
    for model, valid in zip(models, (DataLoader(valid_data, 8), None), strict=True):
        run = learner(tmp_path / model.name, Classification(model), "adam", 0.01, num_epochs=2)
        run.fit(DataLoader(train_data, 8, shuffle=True), valid)
        losses.append(run.history["train"])
    assert losses[0] == losses[1]
    assert_equal(*models)
    assert state(models[0])["layers/drawing.0/calls"] == 4
