"""What a step or a model returns, and a batch holds, that cannot be trained: refused before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import BACKEND, Batches, assert_equal, learner, numbers, refused, twins

from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Output
from multilearn_keras import Classification, Regression

X, Y = numbers(16, 5), numbers(16, seed=1)


class Returning:
    """A task whose step returns what a function makes of its loss and its predictions."""

    def __init__(self, model: keras.Model, returned: Callable[[Any, Any], Any]) -> None:
        self.model = model
        self._returned = returned

    def step(self, batch: Any, training: bool) -> Any:
        x, y = batch
        predicted = self.model(x, training=training)[:, 0]
        return self._returned(ops.mean(ops.square(predicted - y)), predicted)


OUTPUT = r"step of a task must return an Output.*Returning\.step.*Return multilearn\.outputs\.Output\(loss, count\)"
LOSS = r"loss of an Output must be one floating-point number.*keras\.ops\.mean"
COUNT = r"count of an Output must be one number.*number of items"
WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "number": (lambda loss, each: 0.5, OUTPUT),
    "tensor": (lambda loss, each: loss, OUTPUT),
    "None": (lambda loss, each: None, OUTPUT),
    "dict": (lambda loss, each: {"loss": loss, "count": 8}, OUTPUT),
    "tuple": (lambda loss, each: (loss, 8), OUTPUT),
    "class": (lambda loss, each: Output, OUTPUT),
    "loss of each": (lambda loss, each: Output(each, 8), LOSS),
    "loss in an axis": (lambda loss, each: Output(ops.reshape(loss, (1,)), 8), LOSS),
    "float": (lambda loss, each: Output(0.5, 8), LOSS),
    "numpy": (lambda loss, each: Output(np.float32(0.5), 8), LOSS),
    "whole": (lambda loss, each: Output(ops.cast(loss, "int32"), 8), LOSS),
    "no count": (lambda loss, each: Output(loss, None), COUNT),
    "counts": (lambda loss, each: Output(loss, each), COUNT),
    "text": (lambda loss, each: Output(loss, "8"), COUNT),
}


@pytest.mark.parametrize(("returned", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_step_that_returns_something_else_is_refused(returned: Any, said: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    with refused(tmp_path / "run", ConfigurationError, said):
        learner(tmp_path / "run", Returning(model, returned), "sgd", 0.1).fit(ml.DataLoader((X, Y), 8))


def test_a_model_without_an_axis_of_items_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, ops.mean(layers.Dense(3)(inputs)))
    compiled = keras.Model(inputs, model.output)
    compiled.compile("sgd", "mse")
    for task, y in ((Regression(model), Y), (Classification(model), (Y > 0).astype("int32")), (compiled, Y)):
        with pytest.raises(ConfigurationError, match=r"something for each item.*shape \(\).*axis=-1"):
            learner(tmp_path / "run", task, "sgd", 0.1).fit(ml.DataLoader((X, y), 8))


def test_complex_numbers_are_refused_where_real_ones_are_meant(tmp_path: Path) -> None:
    for x, y, said in ((X + 1j, Y, "inputs of this model are real.*complex"), (X, Y + 1j, "Targets are real")):
        task = Regression(keras.Sequential([keras.Input((5,)), layers.Dense(1)]))
        with pytest.raises(DataError, match=said + r".*numpy\.stack"):
            learner(tmp_path / "run", task, "sgd", 0.1).fit(ml.DataLoader((x, y), 8))


def test_a_list_of_x_and_y_is_taken_as_keras_takes_it(tmp_path: Path) -> None:
    one, other = twins(lambda: keras.Sequential([keras.Input((5,)), layers.Dense(1)]))
    learner(tmp_path / "one", Regression(one), "sgd", 0.1).fit(Batches([X[:8], Y[:8]], [X[8:], Y[8:]]))
    learner(tmp_path / "other", Regression(other), "sgd", 0.1).fit(ml.DataLoader((X, Y), 8))
    assert_equal(one, other)


def test_several_inputs_are_given_together(tmp_path: Path) -> None:
    left, right = keras.Input((5,)), keras.Input((5,))
    model = keras.Model([left, right], layers.Dense(1)(layers.Concatenate()([left, right])))
    # [a, b] alone is (x, y)
    with pytest.raises(DataError, match=r"several inputs together.*\(\[a, b\], y\).*\[x, y\] is \(x, y\)"):
        list(ml.predict(model, Batches([X, X])))
    assert [len(each) for each in ml.predict(model, Batches([[X, X], Y], ([X, X],)))] == [16, 16]
    learner(tmp_path / "run", Regression(model), "sgd", 0.1).fit(Batches([[X, X], Y]))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data is TensorFlow's")
def test_text_out_of_tf_data_is_called_text_and_shuffling_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    texts = tf.data.Dataset.from_tensor_slices(({"a": X, "b": [["one"]] * 16}, Y)).batch(8)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    with pytest.raises(DataError, match=r"batch\[0\]\['b'\]: text .*Encode it.*StringLookup"):
        learner(tmp_path / "run", Regression(model), "sgd", 0.1).fit(texts)
    numbers = tf.data.Dataset.from_tensor_slices(X)
    list(ml.predict(model, numbers.batch(8)))
    assert not caplog.records
    list(ml.predict(model, numbers.shuffle(16).batch(8).prefetch(1)))
    assert ["it shuffles" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.skipif(BACKEND != "torch", reason="of torch's loader and gradients")
def test_predicting_over_a_shuffled_torch_loader_warns_and_a_loss_without_gradient_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    data = torch.utils.data.TensorDataset(torch.from_numpy(X))
    for shuffle in (False, True):
        list(ml.predict(model, torch.utils.data.DataLoader(data, 8, shuffle=shuffle)))
        assert ["it shuffles" in record.getMessage() for record in caplog.records] == [True] * shuffle
    detached = Returning(model, lambda loss, each: Output(ops.stop_gradient(loss), 8))
    with pytest.raises(ConfigurationError, match=r"must depend on the weights.*stop_gradient"):
        learner(tmp_path / "run", detached, "sgd", 0.1).fit(ml.DataLoader((X, Y), 8))
