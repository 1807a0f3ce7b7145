"""What layers compute from their variables and keep beside them follows the weights, on every way in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import engine_of, learner, numbers

import multilearn as ml
from multilearn.checkpoint import MpkGzRecorder, SafetensorsRecorder
from multilearn.outputs import RegressionOutput
from multilearn.renderers import SilentRenderer
from multilearn_keras import Regression, load_weights, save_model

X = numbers(32, 3) * 3 + 10
Y = (X - 10).sum(axis=1)
DATA = ml.DataLoader((X, Y), 8)


@keras.saving.register_keras_serializable("tests")
class Keeping(layers.Layer):
    """Keeps what it derives in an attribute, a list, a map and an array."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")
        self.kept: Any = {"shift": None}
        self.parts: Any = [None]
        self.table = np.ones(shape[-1], "float32")
        self.finalize_state()

    def finalize_state(self) -> None:
        self.doubled = ops.multiply(self.factor, 2.0)
        self.kept["shift"] = ops.subtract(self.factor, 1.0)
        self.parts[0] = ops.square(self.factor)
        self.table[...] = ops.convert_to_numpy(self.factor)

    def call(self, x: Any) -> Any:
        return x * self.doubled * self.parts[0] * ops.convert_to_tensor(self.table) + self.kept["shift"]


def by_hand(model: keras.Model, factor: np.ndarray) -> np.ndarray:
    """What the model must say of `X`, by its variables alone."""
    scale, _, _, _, dense = model.layers
    scaled = (X - ops.convert_to_numpy(scale.adapt_mean)) / np.sqrt(ops.convert_to_numpy(scale.adapt_variance))
    kernel, bias = dense.get_weights()
    return (scaled * 2 * factor**4 + factor - 1 + np.float32([1, 2, 3])) @ kernel + bias


def made(adapted: bool) -> keras.Model:
    """Twice a Normalization: in the model, and in a list of a layer; if asked for, adapted, with another factor."""
    scale = layers.Normalization()
    scale.build((None, 3))
    model = keras.Sequential([keras.Input((3,)), scale, Listed(), Keeping(), Loading(), layers.Dense(1)])
    if adapted:
        scale.adapt(X)
        model.layers[3].shift.assign([1.0, 2.0, 3.0])
        model.layers[3].negative = np.float32([-1, -2, -3])
        model.layers[2].factor.assign([0.5, 1.5, 2.0])
        model.layers[2].finalize_state()
    return model


@keras.saving.register_keras_serializable("tests")
class Loading(layers.Layer):
    """Computes it when Keras loads its weights."""

    def build(self, shape: Any) -> None:
        self.shift = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="shift")
        self.negative = -ops.convert_to_numpy(self.shift)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.negative = -np.array(store["0"])

    def call(self, x: Any) -> Any:
        return x - ops.convert_to_tensor(self.negative)


@keras.saving.register_keras_serializable("tests")
class Listed(layers.Layer):
    """Has a layer in a list that is adapted to nothing: it only has to be found."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.inner = [layers.Normalization()]

    def build(self, shape: Any) -> None:
        self.inner[0].build(shape)

    def call(self, x: Any) -> Any:
        return self.inner[0](x)


class Task:
    """Targets are scaled by a layer of the task's own."""

    def __init__(self, model: keras.Model, adapted: bool) -> None:
        self.model, self.scale = model, layers.Normalization()
        self.scale.build((None, 1))
        if adapted:
            self.scale.adapt(Y[:, None])

    def inputs(self, batch: Any) -> Any:
        return batch[0]

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        said, wanted = self.model(batch[0], training=training)[:, 0], self.scale(ops.reshape(batch[1], (-1, 1)))[:, 0]
        return RegressionOutput(ops.mean((said - wanted) ** 2), ops.shape(wanted)[0], said, wanted)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Task]:
    """A run of which nothing was trained, so that everything stays what can be computed by hand."""
    directory = tmp_path_factory.mktemp("derived") / "run"
    task = Task(made(True), True)
    learner(directory, task, "sgd", 0.0, with_file_checkpointer=MpkGzRecorder(), num_epochs=1).fit(DATA)
    return directory, task


def loss_of(said: np.ndarray) -> float:
    return float(np.mean((said[:, 0] - (Y - Y.mean()) / Y.std()) ** 2))


def test_evaluations_and_predictions_use_what_the_record_says(run: tuple[Path, Task]) -> None:
    directory, trained = run
    factor = np.float32([0.5, 1.5, 2.0])
    said = by_hand(trained.model, factor)
    evaluator = ml.Evaluator(directory, renderer=SilentRenderer(), metric_loggers=[])
    fresh = Task(made(False), False)
    before = ops.convert_to_numpy(fresh.model(X))
    assert evaluator.evaluate(fresh, DATA, checkpoint="latest")["Loss"] == pytest.approx(loss_of(said), rel=1e-4)
    predicted = np.concatenate(list(evaluator.predict(fresh, DATA, checkpoint="latest")))
    np.testing.assert_allclose(predicted, said, rtol=1e-4, atol=1e-4)
    # the model is what it was, also what it keeps beside its variables
    assert np.array_equal(ops.convert_to_numpy(fresh.model(X)), before)
    keeping = fresh.model.layers[2]
    assert keeping.table.tolist() == [1, 1, 1]
    assert ops.convert_to_numpy(keeping.parts[0]).tolist() == [1, 1, 1]
    assert ops.convert_to_numpy(keeping.kept["shift"]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["run", "mpk.gz", "safetensors", "keras", "weights.h5"])
def test_loaded_weights_are_followed(run: tuple[Path, Task], tmp_path: Path, kind: str) -> None:
    directory, trained = run
    path = tmp_path / f"saved.{kind}"
    if kind == "run":
        path = directory
    elif kind == "mpk.gz":
        path = directory / "checkpoint" / "model-1.mpk.gz"
    elif kind == "safetensors":
        other = tmp_path / "run"
        learner(other, trained, "sgd", 0.0, with_file_checkpointer=SafetensorsRecorder()).fit(DATA)
        path = other / "checkpoint" / "model-1.safetensors"
    elif kind == "keras":
        save_model(trained, path)
    else:
        trained.model.save_weights(path)
    fresh = Task(made(False), False)
    load_weights(fresh, path)
    np.testing.assert_array_equal(ops.convert_to_numpy(fresh.model(X)), ops.convert_to_numpy(trained.model(X)))
    if kind in ("run", "mpk.gz", "safetensors"):
        scaled = ops.convert_to_numpy(fresh.scale(Y[:, None]))[:, 0]
        np.testing.assert_allclose(scaled, (Y - Y.mean()) / Y.std(), rtol=1e-4, atol=1e-5)


def test_weights_that_were_set_are_what_is_trained_on(tmp_path: Path) -> None:
    """`set_weights` does not have layers compute it; a resumed run would, so every run does."""
    adapted, copied = made(True), made(False)
    copied.set_weights(adapted.get_weights())
    evaluated = ml.Evaluator(tmp_path, renderer=SilentRenderer(), metric_loggers=[]).evaluate(Task(copied, True), DATA)
    expected = loss_of(by_hand(adapted, np.float32([0.5, 1.5, 2.0])))
    assert evaluated["Loss"] == pytest.approx(expected, rel=1e-4)
    trained = learner(tmp_path / "run", Task(copied, True), "sgd", 0.0)
    trained.fit(DATA)
    assert trained.history["train"]["Loss"][0] == pytest.approx(expected, rel=1e-4)


def test_layers_without_variables_keep_what_they_were_adapted_to() -> None:
    """A Discretization from a file has its bins, and nothing left to compute them from."""
    adapted = layers.Discretization([0.0, 1.0]).get_config() | {"num_bins": 3}
    model = keras.Sequential([keras.Input((3,)), layers.Discretization.from_config(adapted), layers.Dense(1)])
    engine = engine_of(Regression(model), "sgd", (X[:8], Y[:8]))
    engine.restore(engine.record())
    assert model.layers[0].bin_boundaries == [0.0, 1.0]
