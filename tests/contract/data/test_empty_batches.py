"""A batch without items is refused on every framework, wherever it comes in an epoch, except where it is predicted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import Batches, learner, numbers

from multilearn.errors import DataError
from multilearn.protocols import Output

X = numbers(6, 3)
FULL, EMPTY = (X, X[:, :1]), (X[:0], X[:0, :1])


class Own:
    """A task of a user's own, whose batches may have arrays of several lengths."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def step(self, batch: Any, training: bool) -> Output:
        x, _ = batch
        return Output(ops.mean(self.model(x) ** 2), ops.shape(x)[0])


def made() -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def fitted(directory: Path, model: Any, *data: Any) -> None:
    own = not isinstance(model, keras.Model)
    learner(directory, model, "sgd" if own else None, 0.1 if own else None).fit(*data)


def evaluated(directory: Path, *batches: Any) -> None:
    ml.Evaluator(directory, renderer=ml.renderers.SilentRenderer()).evaluate(made(), Batches(*batches))


CASES: dict[str, Callable[[Path], None]] = {
    "training": lambda path: fitted(path, made(), Batches(FULL, EMPTY, FULL)),
    "first": lambda path: fitted(path, made(), Batches(EMPTY, FULL)),
    "list": lambda path: fitted(path, made(), [FULL, EMPTY]),
    "validation": lambda path: fitted(path, made(), [FULL], Batches(FULL, EMPTY)),
    "own task": lambda path: fitted(path, Own(made()), Batches(FULL, EMPTY)),
    "evaluation": lambda path: evaluated(path, FULL, EMPTY),
    "first of an evaluation": lambda path: evaluated(path, EMPTY, FULL),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_its_shapes(case: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"at least one item.*shape \(0, 3\), \(0, 1\).*skip it"):
        CASES[case](tmp_path / "run")


def test_the_prediction_for_it_is_empty() -> None:
    predictions = list(ml.predict(made(), Batches(FULL, EMPTY, FULL)))
    assert [prediction.shape for prediction in predictions] == [(6, 1), (0, 1), (6, 1)]


def test_an_own_task_may_have_an_array_without_entries(tmp_path: Path) -> None:
    no_edges = np.zeros((0, 2), "int32")
    fitted(tmp_path / "run", Own(made()), Batches((X, no_edges + 1), (X, no_edges)))
    assert (tmp_path / "run" / "train" / "epoch-1" / "Loss.log").exists()
