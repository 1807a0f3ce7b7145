"""Metrics of classes and labels, measured inside compiled steps, are what they are on numpy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers
from support.training import engine_of, learner, refused, twins

from multilearn.errors import ConfigurationError
from multilearn.metrics import (
    AUROC,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    Dice,
    FBetaScore,
    HammingScore,
    MeanIoU,
    NumpyOps,
    Precision,
    Recall,
    Specificity,
    TopKAccuracy,
)
from multilearn.outputs import ClassificationOutput, MultiLabelOutput

# one for each way to measure: the others differ on the host only
OF_CLASSES = (
    Accuracy(ignore_index=2),
    TopKAccuracy(2),
    FBetaScore.multiclass(),
    Precision.multiclass(top_k=2, average="weighted", ignore_index=0),
    AUROC.multiclass(),
    ConfusionMatrix(),
    Dice(include_background=False),
)
OF_LABELS = (
    Specificity.multilabel(),
    Recall.multilabel(0.25, "micro", ignore_index=-1),
    AveragePrecision.multilabel(ignore_index=-1),
    HammingScore(ignore_index=-1),
    MeanIoU(0.75),
)
OF_ONE = (Recall.binary(), AUROC.binary())
CASES: dict[str, Any] = {
    "classes of tokens": (ClassificationOutput, OF_CLASSES, (5, 3), 3),
    "labels of tokens": (MultiLabelOutput, OF_LABELS, (5, 3), 2),
    "one label": (MultiLabelOutput, OF_ONE, (1,), 2),
    "two classes": (ClassificationOutput, (*OF_ONE, ConfusionMatrix(["no", "yes"])), (2,), 2),
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
    """Logits with ties, exact in every float type; three batches, the last ragged, one of which has no weight."""
    draw = np.random.default_rng(0)
    logits = draw.integers(-6, 7, (23, *shape)).astype("float32") / 4
    of_targets = shape[:-1] if kind is ClassificationOutput else shape
    y = draw.integers(0, targets, (23, *of_targets)).astype("uint8" if kind is ClassificationOutput else "int32")
    if targets == 2 and len(shape) > 1:
        y[draw.random(y.shape) < 0.2] = -1
    weights = draw.choice(np.array([0, 0.5, 2], "float32"), (23, *shape[:-1]))
    weights[8:16] = 0
    return [(logits[part], y[part], weights[part]) for part in (slice(8), slice(8, 16), slice(16, 23))]


@pytest.mark.parametrize(("case", "dtype"), [*((case, "float32") for case in CASES), ("classes of tokens", "bfloat16")])
def test_measured_in_steps_they_are_what_they_are_on_numpy(case: str, dtype: str) -> None:
    kind, metrics, shape, targets = CASES[case]
    made = batches(kind, shape, targets)
    model, _ = twins(lambda: model_of(shape))
    engine = engine_of(Given(model, kind, dtype), optimizers.SGD(), made[0], metrics=metrics)
    steps = [[engine.eval_step(batch) for batch in made]]
    if case == "labels of tokens":
        steps.append([engine.train_step(batch, 0.1, True) for batch in made])
    for outputs in steps:
        hosts = engine.fetch(outputs)
        for metric in metrics:
            expected = found = None
            for host, (logits, y, weights) in zip(hosts, made, strict=True):
                found = metric.merge(found, host.measures[metric.name])
                of_numpy = metric.measure(NumpyOps(), kind(np.float32(0), len(y), logits, y, weights))
                expected = metric.merge(expected, {name: np.asarray(x) for name, x in of_numpy.items()})
            value, of_numpy = metric.entry(found), metric.entry(expected)
            assert value.count == of_numpy.count, metric.name
            assert value.value == (of_numpy.value if isinstance(value.value, str) else pytest.approx(of_numpy.value))


def test_what_a_task_does_not_output_is_refused_before_anything_is_written(tmp_path: Any) -> None:
    data = batches(MultiLabelOutput, (1,), 2)
    task = Given(model_of((1,)), MultiLabelOutput, "float32")
    with refused(tmp_path / "run", ConfigurationError, r"Recall\(multiclass, macro\).*MultiLabelOutput.*multilabel"):
        learner(tmp_path / "run", task, "sgd", 0.1, metrics=Recall.multiclass()).fit(data)
