"""Numbers of the framework are numbers: as a metric's value, in its state and in that of a schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.training import numbers

from multilearn.plain import as_number
from multilearn_keras import Regression

X = numbers(16, 3)
DATA = ml.DataLoader((X, X.sum(axis=1, keepdims=True)), 8)
MAKERS: dict[str, Callable[[float], Any]] = {
    "tensor": lambda value: keras.ops.convert_to_tensor(value, "float32"),
    "variable": lambda value: keras.Variable(value, trainable=False),
    "float16": lambda value: keras.ops.cast(value, "float16"),
    "numpy": np.float32,
}


class Largest:
    """The largest error, in numbers that `make` makes."""

    name, unit, numeric = "Largest", "", True

    def __init__(self, make: Callable[[float], Any]) -> None:
        self._make = make

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"errors": ops.absolute(ops.subtract(output.predictions, output.targets))}

    def merge(self, state: Any, measured: Any) -> Any:
        largest = float(np.max(measured["errors"]))
        return {"largest": self._make(largest if state is None else max(largest, float(state["largest"])))}

    def entry(self, state: Any) -> ml.metrics.Entry:
        return ml.metrics.Entry(state["largest"])


class Halving:
    """A schedule that keeps its rate as `make` makes it."""

    def __init__(self, make: Callable[[float], Any]) -> None:
        self._make, self._rate = make, make(0.1)

    def learning_rate(self, update: int) -> Any:
        return self._rate

    def observe(self, epoch: int, history: Any) -> None:
        self._rate = self._make(float(self._rate) * 0.7)

    def state(self) -> Mapping[str, Any]:
        return {"rate": self._rate}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rate = self._make(float(state["rate"]))


def fitted(directory: Path, make: Callable[[float], Any], epochs: int) -> tuple[ml.Learner, list[np.ndarray]]:
    ml.set_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    builder = ml.LearnerBuilder(directory).metrics(Largest(make)).with_file_checkpointer().num_epochs(epochs)
    learner = builder.checkpoint("latest").checkpoint_every(batches=1).build(Regression(model), "sgd", Halving(make))
    learner.fit(DATA, DATA)
    return learner, model.get_weights()


@pytest.mark.parametrize("kind", MAKERS)
def test_they_are_accepted_and_resumed_bit_for_bit(tmp_path: Path, kind: str) -> None:
    make = MAKERS[kind]
    whole, expected = fitted(tmp_path / "whole", make, 2)
    fitted(tmp_path / "parts", make, 1)
    parts, found = fitted(tmp_path / "parts", make, 2)
    assert [weight.tobytes() for weight in found] == [weight.tobytes() for weight in expected]
    assert parts.history == whole.history
    assert {type(value) for value in whole.history["valid"]["Largest"]} == {float}
    assert as_number(make(0.5)) == 0.5
