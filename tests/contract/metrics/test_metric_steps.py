"""Metrics that are measured inside compiled steps are what they are on numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import chunks, engine_of, entries, ids, learner, numbers, refused, twins

from multilearn import metrics as m
from multilearn.errors import ConfigurationError
from multilearn.metrics import NumpyOps
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, RegressionOutput
from multilearn.protocols import HostOutput
from multilearn_keras import Classification, KerasMetric, Regression

# one for each way to measure: the others differ on the host only
OF_CLASSES = (
    m.Accuracy(ignore_index=2),
    m.TopKAccuracy(2),
    m.FBetaScore.multiclass(),
    m.Precision.multiclass(top_k=2, average="weighted", ignore_index=0),
    m.AUROC.multiclass(),
    m.ConfusionMatrix(),
    m.Dice(include_background=False),
)
OF_LABELS = (
    m.Specificity.multilabel(),
    m.Recall.multilabel(0.25, "micro", ignore_index=-1),
    m.AveragePrecision.multilabel(ignore_index=-1),
    m.HammingScore(ignore_index=-1),
    m.MeanIoU(0.75),
)
OF_ONE = (m.Recall.binary(), m.AUROC.binary())
CASES: dict[str, Any] = {
    "classes of tokens": (ClassificationOutput, OF_CLASSES, (5, 3), 3),
    "labels of tokens": (MultiLabelOutput, OF_LABELS, (5, 3), 2),
    "one label": (MultiLabelOutput, OF_ONE, (1,), 2),
    "two classes": (ClassificationOutput, (*OF_ONE, m.ConfusionMatrix(["no", "yes"])), (2,), 2),
}


class Given:
    """A task whose logits are the inputs, in some float type, whatever its model is."""

    def __init__(self, model: keras.Model, kind: type[Any], dtype: str) -> None:
        self.model, self.kind, self.dtype = model, kind, dtype

    def step(self, batch: Any, training: bool) -> Any:
        logits, targets, weights = batch
        loss = ops.mean(ops.square(self.model(logits, training=training)))
        return self.kind(loss, ops.shape(logits)[0], ops.cast(logits, self.dtype), targets, weights)


def model_of(shape: tuple[int, ...]) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Dense(1)])


def batches(kind: type[Any], shape: tuple[int, ...], targets: int) -> list[Any]:
    """Logits with ties, exact in every float type; three batches, one without any weight, the last of items ragged."""
    draw, items = np.random.default_rng(0), 24 if len(shape) > 1 else 23
    logits = draw.integers(-6, 7, (items, *shape)).astype("float32") / 4
    of_targets = shape[:-1] if kind is ClassificationOutput else shape
    y = draw.integers(0, targets, (items, *of_targets)).astype("uint8" if kind is ClassificationOutput else "int32")
    if targets == 2 and len(shape) > 1:
        y[draw.random(y.shape) < 0.2] = -1
    weights = draw.choice(np.array([0, 0.5, 2], "float32"), (items, *shape[:-1]))
    weights[8:16] = 0
    return [(logits[part], y[part], weights[part]) for part in (slice(8), slice(8, 16), slice(16, items))]


def on_numpy(metrics: Any, output: Any) -> HostOutput:
    """What is measured of it there."""
    measured = {metric.name: metric.measure(NumpyOps(), output) for metric in metrics}
    return HostOutput({name: {key: np.asarray(x) for key, x in sums.items()} for name, sums in measured.items()})


@pytest.mark.parametrize(("case", "dtype"), [*((case, "float32") for case in CASES), ("classes of tokens", "bfloat16")])
def test_measured_in_steps_they_are_what_they_are_on_numpy(case: str, dtype: str) -> None:
    kind, metrics, shape, targets = CASES[case]
    made = batches(kind, shape, targets)
    model, _ = twins(lambda: model_of(shape))
    engine = engine_of(Given(model, kind, dtype), optimizers.SGD(), made[0], metrics=metrics)
    steps = [[engine.eval_step(batch) for batch in made]]
    if case == "labels of tokens":
        steps.append([engine.train_step(batch, 0.1, True) for batch in made])
    expected = entries(metrics, [on_numpy(metrics, kind(np.float32(0), len(y), z, y, w)) for z, y, w in made])
    for outputs in steps:
        for name, found in entries(metrics, engine.fetch(outputs)).items():
            value = expected[name].value
            assert found.count == expected[name].count, name
            assert found.value == (value if isinstance(value, str) else pytest.approx(value)), name


def test_what_a_task_does_not_output_is_refused_before_anything_is_written(tmp_path: Any) -> None:
    data = batches(MultiLabelOutput, (1,), 2)
    task = Given(model_of((1,)), MultiLabelOutput, "float32")
    with refused(tmp_path / "run", ConfigurationError, r"Recall\(multiclass, macro\).*MultiLabelOutput.*multilabel"):
        learner(tmp_path / "run", task, "sgd", 0.1, metrics=m.Recall.multiclass()).fit(data)


OF_NUMBERS = (m.MeanAbsoluteError(), m.MeanSquaredError(), m.RootMeanSquaredError(), m.R2())
OF_TOKENS = (m.Perplexity(ignore_index=0), m.CharErrorRate(padding=0), m.WordErrorRate(0, 1))
X = numbers(21, 4)


def values(metrics: Any, hosts: Any) -> dict[str, float]:
    return {name: entry.value for name, entry in entries(metrics, hosts).items()}


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_numbers_are_those_of_numpy(weighted: bool) -> None:
    """In training too with weights, over ragged batches without."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    x = X[:16] if weighted else X
    targets = numbers(len(x), 2, seed=1) + 100
    weights = (np.arange(16) % 3).astype("float32") if weighted else None
    batches = chunks((x, targets, weights) if weighted else (x, targets), 8)
    engine = engine_of(Regression(model), "sgd", batches[0], metrics=(m.Loss(), m.Mean("loss"), *OF_NUMBERS))
    for step in (engine.eval_step, lambda batch: engine.train_step(batch, 0.0, True))[: 1 + weighted]:
        hosts = engine.fetch([step(batch) for batch in batches])
        predictions = ops.convert_to_numpy(model(x))
        expected = on_numpy(OF_NUMBERS, RegressionOutput(0.0, len(x), predictions, targets, weights))
        # the predictions of a compiled step are rounded in their own way
        assert values(OF_NUMBERS, hosts) == pytest.approx(values(OF_NUMBERS, [expected]), rel=1e-5)
        both = values((m.Loss(), m.Mean("loss")), hosts)
        assert both["Loss"] == both["Mean(loss)"]
    engine.release()


def test_metrics_of_tokens_are_those_of_numpy_over_ragged_batches() -> None:
    model = keras.Sequential([keras.Input((5,)), layers.Embedding(7, 4), layers.Dense(6)])
    x, targets = ids(7, 11, 5), ids(6, 11, 5, seed=1)
    batches = chunks((x, targets), 4)
    engine = engine_of(Classification(model), "sgd", batches[0], metrics=(m.Loss(), *OF_TOKENS))
    found = values(OF_TOKENS, engine.fetch([engine.eval_step(batch) for batch in batches]))
    engine.release()
    logits = ops.convert_to_numpy(model(x))
    expected = on_numpy(OF_TOKENS, ClassificationOutput(0.0, 55, logits, targets))
    assert found == pytest.approx(values(OF_TOKENS, [expected]), rel=1e-5)
    kept = targets != 0
    likelihoods = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    surprise = -np.take_along_axis(likelihoods, targets[..., None], -1)[..., 0][kept]
    assert found["Perplexity(ignore_index=0)"] == pytest.approx(np.exp(surprise.mean()), rel=1e-5)


def test_a_run_reports_them_beside_metrics_of_the_machine_and_of_keras(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    x, targets = X[:16], numbers(16, 1, seed=1)
    machine = (m.LearningRate(), m.IterationSpeed(), m.CpuUse(), m.CpuMemory(), m.GpuUse(), m.GpuMemory())
    metrics = (*OF_NUMBERS, KerasMetric(keras.metrics.MeanSquaredError(name="mse")), *machine)
    run = learner(tmp_path / "run", Regression(model), "sgd", 0.1, metrics=metrics, num_epochs=2)
    run.fit(ml.DataLoader((x, targets), 8), ml.DataLoader((x, targets), 8))
    found = {name: values[-1] for name, values in run.history["valid"].items()}
    errors = ops.convert_to_numpy(model(x)).astype(np.float64) - targets
    squared, spread = (errors**2).mean(), targets.astype(np.float64).var()
    assert found["MeanSquaredError"] == pytest.approx(squared, rel=1e-5)
    assert [found["mse"], found["Loss"]] == pytest.approx([squared, squared], rel=1e-5)
    assert found["RootMeanSquaredError"] == pytest.approx(np.sqrt(squared), rel=1e-5)
    assert found["MeanAbsoluteError"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert found["R2"] == pytest.approx(1 - squared / spread, abs=1e-5)
    assert run.history["train"]["LearningRate"] == (0.1, 0.1)
    assert found["IterationSpeed"] > 0 and found["CpuMemory"] > 0
