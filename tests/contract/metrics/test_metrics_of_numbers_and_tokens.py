"""Metrics of numbers and of tokens inside the compiled step: the same values as on numpy, and as by arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops
from support.training import chunks, engine_of, ids, learner, numbers

from multilearn import metrics as m
from multilearn.outputs import ClassificationOutput, RegressionOutput
from multilearn_keras import Classification, KerasMetric, Regression

OF_NUMBERS = (m.MeanAbsoluteError(), m.MeanSquaredError(), m.RootMeanSquaredError(), m.R2())
OF_TOKENS = (m.Perplexity(ignore_index=0), m.CharErrorRate(padding=0), m.WordErrorRate(0, 1))
X = numbers(21, 4)


def states(metrics: Any, measured: list[Any]) -> dict[str, float]:
    """The value of each metric over batches that were measured."""
    values = {}
    for metric in metrics:
        state = None
        for batch in measured:
            state = metric.merge(state, batch[metric.name])
        values[metric.name] = metric.entry(state).value
    return values


def on_numpy(metrics: Any, output: Any) -> dict[str, float]:
    ops = m.NumpyOps()
    return states(metrics, [{metric.name: metric.measure(ops, output) for metric in metrics}])


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_numbers_are_those_of_numpy_over_ragged_batches(weighted: bool) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    targets = numbers(21, 2, seed=1) + 100
    weights = (np.arange(21) % 3).astype("float32") if weighted else None
    data = (X, targets, weights) if weighted else (X, targets)
    batches = chunks(data, 8)
    engine = engine_of(Regression(model), "sgd", batches[0], metrics=(m.Loss(), m.Mean("loss"), *OF_NUMBERS))
    for step in (engine.eval_step, lambda batch: engine.train_step(batch, 0.0, True)):
        measured = [host.measures for host in engine.fetch([step(batch) for batch in batches])]
        found = states(OF_NUMBERS, measured)
        predictions = ops.convert_to_numpy(model(X))
        expected = on_numpy(OF_NUMBERS, RegressionOutput(0.0, 21, predictions, targets, weights))
        # the predictions of a compiled step are rounded in their own way
        assert found == pytest.approx(expected, rel=1e-5)
        both = states((m.Loss(), m.Mean("loss")), measured)
        assert both["Loss"] == both["Mean(loss)"]
    engine.release()


def test_metrics_of_tokens_are_those_of_numpy_over_ragged_batches() -> None:
    model = keras.Sequential([keras.Input((5,)), layers.Embedding(7, 4), layers.Dense(6)])
    x, targets = ids(7, 11, 5), ids(6, 11, 5, seed=1)
    batches = chunks((x, targets), 4)
    engine = engine_of(Classification(model), "sgd", batches[0], metrics=(m.Loss(), *OF_TOKENS))
    measured = [host.measures for host in engine.fetch([engine.eval_step(batch) for batch in batches])]
    engine.release()
    logits = ops.convert_to_numpy(model(x))
    expected = on_numpy(OF_TOKENS, ClassificationOutput(0.0, 55, logits, targets))
    found = states(OF_TOKENS, measured)
    assert found == pytest.approx(expected, rel=1e-5)
    kept = targets != 0
    likelihoods = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    surprise = -np.take_along_axis(likelihoods, targets[..., None], -1)[..., 0][kept]
    assert found["Perplexity(ignore_index=0)"] == pytest.approx(np.exp(surprise.mean()), rel=1e-5)


def test_a_run_reports_them_beside_metrics_of_the_machine_and_of_keras(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    targets = numbers(21, 1, seed=1)
    machine = (m.LearningRate(), m.IterationSpeed(), m.CpuUse(), m.CpuMemory(), m.GpuUse(), m.GpuMemory())
    metrics = (*OF_NUMBERS, KerasMetric(keras.metrics.MeanSquaredError(name="mse")), *machine)
    run = learner(tmp_path / "run", Regression(model), "sgd", 0.1, metrics=metrics, num_epochs=2)
    run.fit(ml.DataLoader((X, targets), 8), ml.DataLoader((X, targets), 8))
    found = {name: values[-1] for name, values in run.history["valid"].items()}
    errors = ops.convert_to_numpy(model(X)).astype(np.float64) - targets
    squared, spread = (errors**2).mean(), targets.astype(np.float64).var()
    assert found["MeanSquaredError"] == pytest.approx(squared, rel=1e-5)
    assert [found["mse"], found["Loss"]] == pytest.approx([squared, squared], rel=1e-5)
    assert found["RootMeanSquaredError"] == pytest.approx(np.sqrt(squared), rel=1e-5)
    assert found["MeanAbsoluteError"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert found["R2"] == pytest.approx(1 - squared / spread, abs=1e-5)
    assert run.history["train"]["LearningRate"] == (0.1, 0.1)
    assert found["IterationSpeed"] > 0 and found["CpuMemory"] > 0
