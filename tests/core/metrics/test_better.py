"""Which value of a metric is the best, as the metrics say it themselves."""

from __future__ import annotations

import pytest

import multilearn as ml
from multilearn.events import Split
from multilearn.learner.settings import Registered
from multilearn.metrics import AnyMetric

M = ml.metrics


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        (M.Loss(), "lowest"),
        (M.Perplexity(), "lowest"),
        (M.MeanAbsoluteError(), "lowest"),
        (M.RootMeanSquaredError(), "lowest"),
        (M.WordErrorRate(padding=0, separator=1), "lowest"),
        (M.Accuracy(), "highest"),
        (M.Precision.multiclass(average="macro"), "highest"),
        (M.AUROC.binary(), "highest"),
        (M.MeanIoU(), "highest"),
        (M.R2(), "highest"),
        (M.OfOutput("kind", M.Loss()), "lowest"),
        (M.OfOutput("kind", M.Accuracy()), "highest"),
        (M.Mean("reconstruction"), None),
        (M.LearningRate(), None),
        (M.CpuUse(), None),
        (M.SamplesPerSecond(), None),
        (M.GradientNorm(), None),
        (M.ConfusionMatrix(classes=3), None),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_metric_says_which_value_is_the_best(metric: AnyMetric, better: str | None) -> None:
    assert Registered(Split.TRAIN, metric).info().better == better
