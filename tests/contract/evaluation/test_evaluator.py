"""Trained models on test data, and their predictions, on every framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from support.training import BACKEND, assert_equal, cross_entropy, ids, learner, numbers, state, twins

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError, RecordMismatch
from multilearn_keras import Classification

QUIET = ml.renderers.SilentRenderer()
DATA = (numbers(20, 3), ids(3, 20))


def classifier() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.5),
            layers.Dense(3, kernel_regularizer="l2"),
        ]
    )


def logits_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Of a `classifier`, by arithmetic."""
    gamma, beta, mean, variance, kernel, bias = model.get_weights()
    return ((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta) @ kernel + bias


def evaluator(directory: Path) -> ml.Evaluator:
    return ml.Evaluator(directory, [ml.metrics.Accuracy()], renderer=QUIET)


def test_a_model_in_memory_a_checkpoint_and_arithmetic_agree(tmp_path: Path) -> None:
    model, other = twins(classifier)
    run = learner(tmp_path, Classification(model), "adam", 0.05, num_epochs=2, with_file_checkpointer=())
    run.fit(ml.DataLoader(DATA, 10, shuffle=True))
    before = state(other)
    in_memory = evaluator(tmp_path).evaluate(Classification(model), ml.DataLoader(DATA, 10))
    from_disk = evaluator(tmp_path).evaluate(Classification(other), ml.DataLoader(DATA, 10), checkpoint="latest")
    assert from_disk == in_memory
    assert {key: value.tobytes() for key, value in state(other).items()} == {
        key: value.tobytes() for key, value in before.items()
    }
    x, y = DATA
    logits, penalty = logits_of(model, x), 0.01 * np.sum(model.get_weights()[4] ** 2)
    assert in_memory["Loss"] == pytest.approx(cross_entropy(logits, y).mean() + penalty, rel=1e-5)
    assert in_memory["Accuracy"] == pytest.approx(np.mean(logits.argmax(-1) == y), rel=1e-6)
    predicted = np.concatenate(list(evaluator(tmp_path).predict(other, ml.DataLoader(DATA, 10), checkpoint=2)))
    np.testing.assert_allclose(predicted, logits, rtol=1e-5, atol=1e-5)
    assert predicted.flags.writeable


def test_a_model_without_loss_optimizer_or_anything_to_train_can_predict_and_a_task_be_evaluated(
    tmp_path: Path,
) -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((3,)), layers.GaussianNoise(0.5), layers.Rescaling(2.0)]))
    x = DATA[0]
    for data in ([DATA], [x], [(x,)], ml.DataLoader(x, 20)):
        (found,) = ml.predict(model, data)
        np.testing.assert_array_equal(found, 2 * x)
    values = evaluator(tmp_path).evaluate(Classification(model), [DATA])
    assert values["Accuracy"] == pytest.approx((x.argmax(-1) == DATA[1]).mean())
    with pytest.raises(ConfigurationError, match="not compiled"):
        evaluator(tmp_path).evaluate(model, [DATA])


def test_predictions_are_nested_as_the_model_nests_them() -> None:
    def make() -> keras.Model:
        inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
        joined = layers.Concatenate()([inputs["a"], inputs["b"]])
        z, one = layers.Dense(2, name="z"), layers.Dense(1, name="one")
        return keras.Model(inputs, {"z": z(joined), "more": [one(joined), inputs["b"]]})

    model = make()
    x = {"a": numbers(5, 3), "b": numbers(5, 2, seed=1)}
    z, one = (np.hstack([*x.values()]) @ model.get_layer(name).get_weights()[0] for name in ("z", "one"))
    expected = {"z": z, "more": [one, x["b"]]}
    for batch in (x, (x, ids(3, 5))):
        (found,) = ml.predict(model, [batch])
        assert found.keys() == expected.keys()
        for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Doubled:
    """A task that knows itself what a prediction is, of batches that are no Keras batches."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> Any:
        raise NotImplementedError

    def predict(self, batch: Any) -> Any:
        return {"classes": keras.ops.argmax(self.model(batch["features"]), axis=-1)}


def test_a_task_says_itself_what_it_predicts() -> None:
    model = keras.Sequential([layers.Dense(3)])
    x = numbers(6, 3)
    found = list(ml.predict(Doubled(model), [{"features": x[:4]}, {"features": x[4:]}]))
    expected = (x @ model.get_weights()[0]).argmax(-1)
    np.testing.assert_array_equal(np.concatenate([each["classes"] for each in found]), expected)


def test_what_does_not_fit_is_refused_at_the_call(tmp_path: Path) -> None:
    model, other = twins(classifier)
    with pytest.raises(DataError, match="inputs of the first batch"):
        ml.predict(model, [numbers(4, 5)])
    with pytest.raises(DataError):
        evaluator(tmp_path).evaluate(Classification(model), [(numbers(4, 3), ids(3, 4) + 3)])
    assert not tmp_path.joinpath("test").exists()
    learner(tmp_path, Classification(model), "sgd", with_file_checkpointer=()).fit([DATA])
    wide = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    with pytest.raises(RecordMismatch):
        ml.predict(wide, [DATA], checkpoint="latest", directory=tmp_path)
    eager = list(ml.predict(other, [DATA], checkpoint="latest", directory=tmp_path, capture=False))
    np.testing.assert_allclose(eager[0], logits_of(model, DATA[0]), rtol=1e-5, atol=1e-5)
    assert_equal(other, twins(classifier)[0])


def test_a_model_for_batches_of_one_size_is_shown_no_smaller_one(tmp_path: Path) -> None:
    model, _ = twins(lambda: keras.Sequential([keras.Input((2, 3), batch_size=4), layers.SimpleRNN(3, stateful=True)]))
    before = state(model)
    x, y = numbers(4, 2, 3), ids(3, 4)
    values = evaluator(tmp_path).evaluate(Classification(model), [(x, y)])
    assert all(np.array_equal(value, before[key]) for key, value in state(model).items())
    kernel, recurrent, bias = map(keras.ops.convert_to_numpy, model.trainable_variables)
    first = np.tanh(x[:, 0] @ kernel + bias)
    logits = np.tanh(x[:, 1] @ kernel + first @ recurrent + bias)
    assert values["Loss"] == pytest.approx(cross_entropy(logits, y).mean(), rel=1e-5)


class Normed:
    """A task with parts that its step builds: of one it reads statistics, the other only counts in training."""

    def __init__(self) -> None:
        self.model = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
        self.norm = layers.BatchNormalization(momentum=0.5)
        self.score = keras.metrics.F1Score(threshold=0.5)

    def step(self, batch: Any, training: bool) -> ml.outputs.Output:
        y = self.norm(self.model(batch), training=training)
        if training:
            self.score.update_state(keras.ops.cast(batch > 0, "float32"), keras.ops.sigmoid(y))
        return ml.outputs.Output(keras.ops.mean((y - batch) ** 2), keras.ops.shape(batch)[0])


def test_a_checkpoint_fills_what_the_step_of_a_fresh_task_builds(tmp_path: Path) -> None:
    data = [3 * numbers(8, 3, seed=1) + 2, 3 * numbers(8, 3, seed=2) + 2]
    run = learner(tmp_path, Normed(), "sgd", 0.1, with_file_checkpointer=(), num_epochs=2)
    run.fit(data, data)
    quiet = ml.Evaluator(tmp_path, renderer=ml.renderers.SilentRenderer())
    values = quiet.evaluate(Normed(), data, checkpoint="latest")
    assert values["Loss"] == pytest.approx(run.history["valid"]["Loss"][-1], rel=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="TorchModuleWrapper is there on torch alone")
@pytest.mark.parametrize("capture", [True, False])
def test_a_module_of_torch_is_evaluated_with_the_checkpoint_and_left_as_it_is(tmp_path: Path, capture: bool) -> None:
    import torch

    def wrapped() -> Classification:
        module = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 4))
        return Classification(keras.Sequential([keras.Input((3,)), layers.TorchModuleWrapper(module)]))

    x, y = DATA
    data = [(2 * x + 1, y)]
    run = learner(tmp_path, wrapped(), "sgd", 0.1, with_file_checkpointer=(), num_epochs=2)
    trained = run.fit(data, data)
    fresh = wrapped()
    before = state(fresh.model)
    settings = ml.Evaluator(tmp_path, renderer=ml.renderers.SilentRenderer(), capture=capture)
    values = settings.evaluate(fresh, data, checkpoint="latest")
    assert values["Loss"] == pytest.approx(run.history["valid"]["Loss"][-1], rel=1e-5)
    found = list(settings.predict(fresh, data, checkpoint="latest"))
    np.testing.assert_allclose(found[0], trained.predict(data[0][0], verbose=0), rtol=1e-5, atol=1e-6)
    assert all(np.array_equal(value, before[key]) for key, value in state(fresh.model).items())
