"""A model that brings a preprocessor, as those of keras-hub do, has it applied wherever batches go in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import learner

from multilearn.errors import DataError
from multilearn.metrics import Loss
from multilearn.protocols import Output
from multilearn.renderers import SilentRenderer
from multilearn_keras import Regression

X = np.arange(6 * 4 * 4, dtype="float32").reshape(6, 4, 4) / 50
Y = np.arange(1.0, 7.0, dtype="float32")[:, None]


class Shrinking(keras.Model):
    """Images become rows of their means before the model sees them, which takes no others."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def preprocessor(self, images: Any) -> np.ndarray:
        return np.asarray(images).mean(axis=2)

    def preprocess_samples(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        return keras.utils.pack_x_y_sample_weight(self.preprocessor(x), y, sample_weight)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


@pytest.mark.parametrize("kind", ["compiled", "task"])
def test_data_are_preprocessed_for_training_evaluation_and_predictions(tmp_path: Path, kind: str) -> None:
    ml.set_seed(1)
    model = Shrinking()
    model.compile("sgd", "mse")
    task: Any = model if kind == "compiled" else Regression(model)
    run = learner(tmp_path / "run", task, "sgd", 0.0)
    data = ml.DataLoader((X, Y), 4, shuffle=False)
    run.fit(data, data)
    kernel, bias = (ops.convert_to_numpy(each) for each in model.trainable_variables)
    expected = X.mean(axis=2) @ kernel + bias
    loss = pytest.approx([np.mean((expected - Y) ** 2)], rel=1e-5)
    assert run.history["train"]["Loss"] == loss
    assert run.history["valid"]["Loss"] == loss
    evaluated = ml.Evaluator(tmp_path / "run", [Loss()], renderer=SilentRenderer()).evaluate(task, data)
    assert [evaluated["Loss"]] == loss
    predicted = np.concatenate(list(ml.predict(model, data)))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)


def test_a_custom_step_reads_batches_as_they_are(tmp_path: Path) -> None:
    class Task:
        def __init__(self) -> None:
            self.model = Shrinking()

        def step(self, batch: Any, training: bool) -> Output:
            loss = ops.mean(ops.square(self.model(ops.mean(batch[0], axis=2)) - batch[1]))
            return Output(loss, ops.shape(batch[1])[0])

    run = learner(tmp_path / "run", Task(), "sgd", 0.1)
    run.fit(ml.DataLoader((X, Y), 4))
    assert run.history["train"]["Loss"][0] > 0


def test_a_preprocessor_that_does_not_take_the_batch_is_named(tmp_path: Path) -> None:
    run = learner(tmp_path / "run", Regression(Shrinking()), "sgd", 0.1)
    with pytest.raises(DataError, match="preprocessor must accept the first batch"):
        run.fit(ml.DataLoader((np.zeros((6, 2), "float32"), Y), 4))
    assert not (tmp_path / "run" / "train").exists()
