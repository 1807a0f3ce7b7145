"""No metric takes a training step of torch out of its graph: with one that does, all of the step runs eagerly."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import pytest
from keras import layers
from support.training import BACKEND, engine_of, ids, numbers

from multilearn import metrics as m
from multilearn.outputs import SeveralOutputs
from multilearn_keras import Classification, KerasMetric, MultiLabelClassification, Regression

if BACKEND != "torch":
    pytest.skip(f"{BACKEND} traces steps itself: see test_traces.py", allow_module_level=True)

from multilearn_keras.engines.torch.capture import captured as capturing


@pytest.fixture(autouse=True)
def captured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs from the first batch on."""
    monkeypatch.setattr(capturing, "MIN_SEEN", 0)
    monkeypatch.setattr(capturing, "MIN_SHARE", 1 << 30)


class Named(Classification):
    """The same output under a name."""

    def step(self, batch: Any, training: bool) -> Any:
        output = super().step(batch, training)
        return SeveralOutputs(output.loss, output.count, {"kind": output})


NORMS = (m.GradientNorm(), m.WeightNorm())
OF_CLASSES = (
    m.Loss(),
    m.Mean("loss"),
    m.Accuracy(),
    m.TopKAccuracy(2),
    m.Precision.multiclass(),
    m.Recall.multiclass(top_k=2, ignore_index=1),
    m.FBetaScore.multiclass(average="micro"),
    m.Specificity.multiclass(),
    m.AUROC.multiclass(),
    m.AveragePrecision.multiclass(),
    m.ConfusionMatrix(),
    m.ConfusionMatrix(["a", "b", "c"], ignore_index=0),
    m.Dice(),
    m.MeanIoU(),
    m.Perplexity(),
)
OF_TOKENS = (
    m.CharErrorRate(padding=0),
    m.WordErrorRate(0, 1),
    m.Perplexity(0),
    m.FBetaScore.multiclass(ignore_index=0),
)
OF_LABELS = (
    m.HammingScore(),
    m.Precision.multilabel(),
    m.Recall.multilabel(),
    m.FBetaScore.multilabel(),
    m.Specificity.multilabel(),
    m.AUROC.multilabel(),
    m.AveragePrecision.multilabel(),
    m.MeanIoU(),
    m.Dice(),
)
OF_KERAS = tuple(
    KerasMetric(metric)
    for metric in (
        keras.metrics.MeanAbsolutePercentageError(),
        keras.metrics.R2Score(),
        keras.metrics.CosineSimilarity(),
        keras.metrics.PearsonCorrelation(),
    )
)
OF_NUMBERS = (m.MeanAbsoluteError(), m.MeanSquaredError(), m.RootMeanSquaredError(), m.R2(), *OF_KERAS)
CASES: dict[str, tuple[type[Any], tuple[Any, ...], tuple[int, ...], Any]] = {
    "classes": (Classification, OF_CLASSES, (4,), ids(3, 8)),
    "many classes": (Classification, (m.ConfusionMatrix(), m.Precision.multiclass()), (4,), ids(50, 8)),
    "tokens": (Classification, OF_TOKENS, (5, 4), ids(3, 8, 5)),
    "labels": (MultiLabelClassification, OF_LABELS, (4,), ids(2, 8, 3).astype("float32")),
    "numbers": (Regression, OF_NUMBERS, (4,), numbers(8, 3)),
    "a named output": (Named, (m.OfOutput("kind", m.FBetaScore.multiclass()),), (4,), ids(3, 8)),
}


def test_all_metrics_of_the_library_are_tried_here() -> None:
    tried = {type(metric) for _, metrics, _, _ in CASES.values() for metric in (*metrics, *NORMS)}
    measured = {
        each
        for name in m.__all__
        if inspect.isclass(each := getattr(m, name)) and {"measure", "measure_update"} & set(dir(each))
    }
    assert measured - {m.Metric, m.UpdateMetric} - tried == set()


@pytest.mark.parametrize("name", CASES)
def test_a_step_stays_in_its_graph_with_all_metrics(name: str) -> None:
    task, metrics, shape, targets = CASES[name]
    outputs = 50 if name == "many classes" else 3
    model = keras.Sequential([keras.Input(shape), layers.Dense(outputs)])
    batch = (numbers(8, *shape), targets)
    found = {}
    for capture in (False, True):
        engine = engine_of(task(model), "sgd", batch, metrics=metrics, update_metrics=NORMS, capture=capture)
        *_, found[capture] = engine.fetch([engine.train_step(batch, 0.0, True) for _ in range(capturing.TRIED + 1)])
    assert [way for way, _ in engine.record()["engine"]["training"].values()] == ["graph"]
    for metric in (*metrics, *NORMS):
        eager, graph = (metric.entry(metric.merge(None, host.measures[metric.name])).value for host in found.values())
        assert graph == (eager if isinstance(eager, str) else pytest.approx(eager, rel=1e-5)), metric.name
