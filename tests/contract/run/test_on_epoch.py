"""A function that is called after each epoch computes with the model as it is trained so far, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import multilearn as ml
from multilearn.metrics import Loss
from multilearn_keras import Classification

X = np.random.default_rng(3).normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int32)


def fit(directory: Path, epochs: int, *functions: Any) -> tuple[ml.Learner, Any]:
    ml.set_seed(5)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6), layers.Dropout(0.5), layers.Dense(2)])
    builder = ml.LearnerBuilder(directory).metrics(Loss()).num_epochs(epochs).with_file_checkpointer()
    builder = builder.renderer(ml.renderers.SilentRenderer())
    for function in functions:
        builder = builder.on_epoch(function)
    learner = builder.build(Classification(model), keras.optimizers.Adam(), 0.05)
    return learner, learner.fit(ml.DataLoader((X, Y), 8, shuffle=True), ml.DataLoader((X, Y), 20))


def test_it_sees_the_weights_so_far_and_the_run_stays_as_it_is(tmp_path: Path) -> None:
    losses, predicted, kerass = [], [], []

    def look(report: Any) -> None:
        model = report.model
        predicted.append(np.concatenate(list(ml.predict(model, ml.DataLoader((X,), 20)))))
        kerass.append(model.predict(X, batch_size=40, verbose=0))
        # draws of dropout, of Keras and of numpy
        model(X, training=True)
        keras.random.normal((3,))
        np.random.rand()
        logits = predicted[-1].astype(np.float64)
        chosen = np.take_along_axis(logits, Y[:, None], 1)[:, 0]
        losses.append(float(np.mean(np.log(np.exp(logits).sum(1)) - chosen)))

    plain, expected = fit(tmp_path / "plain", 3)
    learner, model = fit(tmp_path / "run", 3, look)
    assert learner.history == plain.history
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # the loss of the validation data, which are the same items
    np.testing.assert_allclose(losses, learner.history["valid"]["Loss"], rtol=1e-5)
    np.testing.assert_allclose(predicted, kerass, rtol=1e-5, atol=1e-6)
