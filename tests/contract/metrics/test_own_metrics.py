"""Metrics of a user's own: numbers among what they measure, and errors that name the one that raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import BACKEND, ids, learner, numbers, refused

from multilearn.errors import ConfigurationError, DataError
from multilearn_keras import Classification

# the last batch is a ragged one
X, Y = numbers(20, 4), ids(2, 20)
DATA = ml.DataLoader((X, Y), 8)

Measure = Callable[[Any, Any], Any]


class Own:
    """The quotient of what `measure` returns as `total` and `count`, over all batches."""

    name, unit, numeric = "Own", "", True

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    def measure(self, ops: Any, output: Any) -> Any:
        return self._measure(ops, output)

    def merge(self, state: Any, measured: Mapping[str, Any]) -> Any:
        return {key: float(new) + (state[key] if state else 0.0) for key, new in measured.items()}

    def entry(self, state: Any) -> ml.metrics.Entry:
        return ml.metrics.Entry(state["total"] / state["count"])


def fitted(directory: Path, measure: Measure, registered: str = "metrics") -> ml.Learner:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    found = learner(directory, Classification(model), "sgd", 0.1, **{registered: Own(measure)})
    found.fit(DATA, DATA)
    return found


def test_numbers_are_taken_as_tensors_are(tmp_path: Path) -> None:
    found = fitted(
        tmp_path / "run",
        lambda array_ops, output: {
            "total": array_ops.sum(output.targets),
            "count": ops.shape(output.targets)[0],
            "number": 1,
            "float": 0.5,
            "numpy": np.float64(2),
            "static": output.logits.shape[-1],
        },
    )
    for split in ("train", "valid"):
        assert found.history[split]["Own"] == (pytest.approx(Y.mean()),)


@pytest.mark.parametrize("registered", ["metrics", "metric_train"])
def test_the_length_of_a_batch_counts_or_is_refused_by_name_if_it_is_unknown(tmp_path: Path, registered: str) -> None:
    def measure(array_ops: Any, output: Any) -> Any:
        return {"total": array_ops.sum(output.targets), "count": output.targets.shape[0]}

    if BACKEND == "tensorflow":
        with pytest.raises(ConfigurationError, match=r"The metric Own: .*None as 'count'.*keras\.ops\.shape"):
            fitted(tmp_path / "run", measure, registered)
    else:
        assert fitted(tmp_path / "run", measure, registered).history["train"]["Own"] == (pytest.approx(Y.mean()),)


WRONG: dict[str, tuple[Measure, type[Exception], str]] = {
    "no dict": (
        lambda array_ops, output: array_ops.sum(output.targets),
        ConfigurationError,
        r"The metric Own: measure must return a dict of tensors or numbers\. Received: a tensor of shape \(\)",
    ),
    "text": (
        lambda array_ops, output: {"total": "one"},
        ConfigurationError,
        r"The metric Own: measure must return a dict of tensors or numbers\. Received: a str as 'total'",
    ),
    "shapes": (
        lambda array_ops, output: {"total": array_ops.sum(array_ops.add(output.logits, np.ones((7, 3), "float32")))},
        DataError,
        r"raised by measure of the metric Own: .*Compare the shapes",
    ),
    "code": (
        lambda array_ops, output: {"total": output.nothing},
        DataError,
        r"AttributeError raised by measure of the metric Own: .*nothing'\. Found in the training data\. The traceback",
    ),
}


@pytest.mark.parametrize(("measure", "error", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_names_the_metric(
    tmp_path: Path, measure: Measure, error: type[Exception], said: str
) -> None:
    with refused(tmp_path / "run", error, said):
        fitted(tmp_path / "run", measure)


class Mistaken:
    """A task with a mistake in its step."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def inputs(self, batch: Any) -> Any:
        return batch[0]

    def step(self, batch: Any, training: bool) -> Any:
        return self.modle(batch[0])  # type: ignore[attr-defined]


def test_what_a_step_raises_names_the_task(tmp_path: Path) -> None:
    task = Mistaken(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))
    with refused(tmp_path / "run", DataError, r"AttributeError raised by Mistaken\.step: .*traceback has the line"):
        learner(tmp_path / "run", task, "sgd", 0.1).fit(DATA)
