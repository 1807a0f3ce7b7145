"""A task of one's own, with batches that only its step can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops

from multilearn.errors import DataError
from multilearn.outputs import RegressionOutput

PENALTY = 0.01


class Pair:
    """Predicts `y` from `a` and `b` together."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        joint = ops.concatenate([batch["a"], batch["b"]], axis=-1)
        predicted = self.model(joint, training=training)
        loss = ops.mean(ops.square(predicted - batch["y"])) + sum(self.model.losses)
        return RegressionOutput(loss, ops.shape(batch["y"])[0], predicted, batch["y"])


def data(items: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(items, 3)), rng.normal(size=(items, 2))
    return {"a": a, "b": b, "y": a.sum(axis=1, keepdims=True)}


@pytest.mark.parametrize("built", [True, False])
def test_a_task_reads_its_batches_as_it_likes_whether_its_model_is_built_or_not(tmp_path: Path, built: bool) -> None:
    ml.set_seed(3)
    dense = layers.Dense(1, kernel_regularizer=keras.regularizers.L2(PENALTY))
    model = keras.Sequential([keras.Input((5,)), dense] if built else [dense])
    batches = data(50)
    learner = (
        ml.LearnerBuilder(tmp_path / "run")
        .metrics(ml.metrics.Loss())
        .with_file_checkpointer()
        .build(Pair(model), "sgd", 0.0)
    )
    learner.fit(ml.DataLoader(batches, 16), ml.DataLoader(batches, 16))
    kernel, bias = (ops.convert_to_numpy(variable) for variable in dense.trainable_variables)
    predicted = np.concatenate([batches["a"], batches["b"]], axis=1) @ kernel + bias
    expected = np.mean((predicted - batches["y"]) ** 2) + PENALTY * np.sum(kernel**2)
    for split in ("train", "valid"):
        assert learner.history[split]["Loss"] == pytest.approx([expected], rel=1e-5)


def test_a_step_that_does_not_understand_the_batch_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    learner = ml.LearnerBuilder(tmp_path / "run").build(Pair(keras.Sequential([layers.Dense(1)])), "sgd", 0.1)
    with pytest.raises(DataError, match="KeyError"):
        learner.fit(ml.DataLoader({"x": np.zeros((4, 2))}, 2))
    assert not (tmp_path / "run").exists()


class Unevaluated(Pair):
    """A step that fails where it is not training."""

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        return super().step(batch if training else {"a": batch["a"]}, training)


def test_a_step_that_fails_in_evaluation_alone_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    task = Unevaluated(keras.Sequential([keras.Input((5,)), layers.Dense(1)]))
    with pytest.raises(DataError, match="KeyError"):
        ml.LearnerBuilder(tmp_path / "run").build(task, "sgd", 0.1).fit([data(4)], [data(4)])
    assert not (tmp_path / "run").exists()
