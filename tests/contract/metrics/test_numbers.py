"""Numbers of the framework are numbers: as a metric's value, in its state and in that of a schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from support.training import numbers

from multilearn.plain import as_number
from multilearn_keras import Regression

X = numbers(16, 3)
DATA = ml.DataLoader((X, X.sum(axis=1, keepdims=True)), 4)
MAKERS: dict[str, Callable[[float], Any]] = {
    "tensor": lambda value: keras.ops.convert_to_tensor(value, "float32"),
    "variable": lambda value: keras.Variable(value, trainable=False),
    "float16": lambda value: keras.ops.cast(value, "float16"),
    "numpy": np.float32,
}


class Largest:
    """The largest error, in numbers that `make` makes."""

    unit, numeric = "", True

    def __init__(self, name: str, make: Callable[[float], Any]) -> None:
        self.name, self._make = name, make

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"errors": ops.absolute(ops.subtract(output.predictions, output.targets))}

    def merge(self, state: Any, measured: Any) -> Any:
        largest = float(np.max(measured["errors"]))
        return {"largest": self._make(largest if state is None else max(largest, float(state["largest"])))}

    def entry(self, state: Any) -> ml.metrics.Entry:
        return ml.metrics.Entry(state["largest"])


class Halving:
    """A schedule that keeps a rate for each of `MAKERS`, and takes one after the other."""

    def __init__(self) -> None:
        self._rates = {kind: make(0.1) for kind, make in MAKERS.items()}

    def learning_rate(self, update: int) -> Any:
        return list(self._rates.values())[update % len(MAKERS)]

    def observe(self, epoch: int, history: Any) -> None:
        self._rates = {kind: MAKERS[kind](float(rate) * 0.7) for kind, rate in self._rates.items()}

    def state(self) -> Mapping[str, Any]:
        return dict(self._rates)

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rates = {kind: make(float(state[kind])) for kind, make in MAKERS.items()}


def fitted(directory: Path, epochs: int) -> tuple[ml.Learner, list[np.ndarray]]:
    ml.set_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    metrics = [Largest(kind, make) for kind, make in MAKERS.items()]
    builder = ml.LearnerBuilder(directory).metrics(*metrics).with_file_checkpointer().num_epochs(epochs)
    learner = builder.checkpoint("latest").checkpoint_every(batches=1).build(Regression(model), "sgd", Halving())
    learner.fit(DATA, DATA)
    return learner, model.get_weights()


def test_they_are_accepted_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, expected = fitted(tmp_path / "whole", 2)
    fitted(tmp_path / "parts", 1)
    parts, found = fitted(tmp_path / "parts", 2)
    assert [weight.tobytes() for weight in found] == [weight.tobytes() for weight in expected]
    assert parts.history == whole.history
    for kind, make in MAKERS.items():
        assert {type(value) for value in whole.history["valid"][kind]} == {float}
        assert as_number(make(0.5)) == 0.5
