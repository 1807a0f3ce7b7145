"""Metrics of Keras' own: what `fit` reports of them is what Keras' own `evaluate` would."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
import sklearn.metrics as reference
from keras import layers, ops
from support.resumed_runs import asked
from support.training import chunks, engine_of, entries, ids, learner, numbers, twins

from multilearn import metrics as m
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.loggers import read_metric_file
from multilearn.storage.layout import RunDirectory
from multilearn_keras import Classification, KerasMetric, MultiLabelClassification, Regression

ITEMS, CLASSES, BATCH = 37, 3, 16
EVEN = 2 * BATCH
X, Y = numbers(ITEMS, 4), ids(CLASSES, ITEMS)


class Share(keras.metrics.Metric):
    """The share of items whose most probable class is right, as somebody would write it: without weights."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.right = self.add_weight(name="right", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        hits = ops.equal(ops.cast(ops.argmax(y_pred, -1), "int32"), ops.cast(y_true, "int32"))
        self.right.assign_add(ops.sum(ops.cast(hits, "float32")))
        self.seen.assign_add(ops.cast(ops.size(hits), "float32"))

    def result(self) -> Any:
        return self.right / ops.maximum(self.seen, 1.0)


def classifier() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(CLASSES)])


def logits_of(model: keras.Model) -> np.ndarray:
    """Of `X`, by arithmetic."""
    kernel, bias = model.get_weights()
    return X @ kernel + bias


def probabilities_of(model: keras.Model) -> np.ndarray:
    powers = np.exp(logits_of(model))
    return powers / powers.sum(-1, keepdims=True)


def evaluated(task: Any, metrics: list[Any], data: Any) -> dict[str, float]:
    """What an epoch of evaluation says of the metrics, by name."""
    adopted = [metric if isinstance(metric, KerasMetric) else KerasMetric(metric) for metric in metrics]
    batches = chunks(data, BATCH)
    engine = engine_of(task, "sgd", batches[0], metrics=adopted)
    hosts = engine.fetch([engine.eval_step(batch) for batch in batches])
    engine.release()
    return {name: entry.value for name, entry in entries(adopted, hosts).items()}


def area(y_true: Any, y_pred: Any, thresholds: int) -> float:
    """Under the ROC curve, by trapezoids between this many thresholds, the outer two beyond all scores."""
    edges = [-1e-7, *(np.arange(1, thresholds - 1) / (thresholds - 1)), 1 + 1e-7]
    hits, alarms = ([(y_pred[y_true == truth] > edge).mean() for edge in edges] for truth in (1, 0))
    return float(-np.trapezoid(hits, alarms))


def test_metrics_of_classes_are_those_of_scikit_learn_over_ragged_batches_in_sums_of_one_size() -> None:
    made = [
        keras.metrics.SparseTopKCategoricalAccuracy(k=2),
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="of logits"),
        keras.metrics.CategoricalAccuracy(),
        keras.metrics.Precision(class_id=1),
        keras.metrics.F1Score(average="macro"),
        keras.metrics.MeanIoU(CLASSES),
        keras.metrics.AUC(num_thresholds=30),
        Share(),
    ]
    model, metrics = classifier(), [KerasMetric(metric) for metric in made]
    batches = chunks((X, Y), BATCH)
    engine = engine_of(Classification(model), "sgd", batches[0], metrics=metrics)
    hosts = engine.fetch([engine.eval_step(batch) for batch in batches])
    engine.release()
    probabilities = probabilities_of(model)
    found_classes = probabilities.argmax(-1)
    assert {name: entry.value for name, entry in entries(metrics, hosts).items()} == pytest.approx(
        {
            "SparseTopKCategoricalAccuracy(k=2)": reference.top_k_accuracy_score(Y, probabilities, k=2),
            "of logits": reference.log_loss(Y, probabilities),
            "CategoricalAccuracy": (found_classes == Y).mean(),
            "Precision(class_id=1)": reference.precision_score(Y == 1, probabilities[:, 1] > 0.5),
            "F1Score(average=macro)": reference.f1_score(Y, found_classes, average="macro"),
            "MeanIoU(num_classes=3)": reference.jaccard_score(Y, found_classes, average="macro"),
            "AUC(num_thresholds=30)": area(np.eye(CLASSES)[Y].ravel(), probabilities.ravel(), 30),
            "Share": (found_classes == Y).mean(),
        },
        rel=1e-5,
    )
    # what is handed over of Keras' own is as large for any batch
    for metric in metrics[:-1]:
        first, last = (host.measures[metric.name] for host in (hosts[0], hosts[-1]))
        assert [np.shape(each) for each in first.values()] == [np.shape(each) for each in last.values()]


def test_weights_are_the_sample_weights_of_keras_and_weight_zero_is_padding_for_those_without() -> None:
    model = classifier()
    weights = np.linspace(0, 2, EVEN, dtype="float32")
    x, y, probabilities = X[:EVEN], Y[:EVEN], probabilities_of(model)[:EVEN]
    made = keras.metrics.SparseCategoricalAccuracy
    padded = np.where(weights == 0, -1, y).astype("int32")
    # of a class that there is not, but of weight zero
    task = Classification(model, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1))
    found = evaluated(task, [made(), Share()], (x, padded, weights))
    assert found["SparseCategoricalAccuracy"] == pytest.approx(
        np.average(probabilities.argmax(-1) == y, weights=weights), rel=1e-5
    )
    assert found["Share"] == pytest.approx((probabilities.argmax(-1) == y)[weights > 0].mean())


def test_metrics_of_labels_and_of_numbers_are_those_of_arithmetic_and_of_scikit_learn() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    x, labels, predictions = X[:EVEN], ids(2, EVEN, 2), logits_of(model)[:EVEN]
    scores = 1 / (1 + np.exp(-predictions))
    metrics: list[Any] = [keras.metrics.BinaryAccuracy(threshold=0.4)]
    found = evaluated(MultiLabelClassification(model), metrics, (x, labels))
    assert found == {"BinaryAccuracy(threshold=0.4)": pytest.approx(((scores > 0.4) == labels).mean())}
    targets = numbers(EVEN, 2, seed=3)
    metrics = [keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()]
    assert evaluated(Regression(model), metrics, (x, targets)) == pytest.approx(
        {
            "RootMeanSquaredError": np.sqrt(((targets - predictions) ** 2).mean()),
            "R2Score": reference.r2_score(targets, predictions),
        },
        rel=1e-5,
    )


def test_the_builder_takes_keras_metrics_as_they_are_and_leaves_them_as_they_were(tmp_path: Path) -> None:
    ours, theirs = twins(classifier)
    auc, accuracy = keras.metrics.AUC(num_thresholds=20), keras.metrics.SparseCategoricalAccuracy(name="mine")
    accuracy.update_state([1], [[0.0, 1.0, 0.0]])
    before = [np.array(v) for metric in (auc, accuracy) for v in map(ops.convert_to_numpy, metric.variables)]
    builder = ml.LearnerBuilder(tmp_path / "run").renderer(ml.renderers.SilentRenderer()).num_epochs(2)
    builder = builder.metrics(auc).metric_valid_numeric(accuracy)
    run = builder.build(Classification(ours), "sgd", 0.0)
    run.fit(ml.DataLoader((X[:32], Y[:32]), 8), ml.DataLoader((X[:32], Y[:32]), 8))
    after = [np.array(v) for metric in (auc, accuracy) for v in map(ops.convert_to_numpy, metric.variables)]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    scores = probabilities_of(theirs)[:32]
    expected = (scores.argmax(-1) == Y[:32]).mean()
    assert run.history["valid"]["mine"] == pytest.approx((expected, expected), rel=1e-5)
    expected = area(np.eye(CLASSES)[Y[:32]].ravel(), scores.ravel(), 20)
    assert run.history["valid"]["AUC(num_thresholds=20)"] == pytest.approx((expected, expected), rel=1e-5)
    assert run.history["train"]["AUC(num_thresholds=20)"] == pytest.approx(
        run.history["valid"]["AUC(num_thresholds=20)"], rel=1e-5
    )
    file = RunDirectory(tmp_path / "run").metric(Split.TRAIN, 1, "AUC(num_thresholds=20)")
    assert len(read_metric_file(file).values) == 4


def test_a_run_that_goes_on_inside_an_epoch_reports_what_the_whole_one_does(tmp_path: Path) -> None:
    def build(directory: Path, *, stopping: bool, going_on: bool) -> Any:
        ml.set_seed(5)
        interrupter = ml.Interrupter()
        builder = (
            ml.LearnerBuilder(directory)
            .renderer(ml.renderers.SilentRenderer())
            .metrics(keras.metrics.F1Score(average="macro"), m.Perplexity())
            .with_file_checkpointer()
            .with_interrupter(interrupter)
        )
        builder = builder.checkpoint("latest") if going_on else builder
        run = builder.build(Classification(classifier()), "sgd", 0.1)
        stop = 2 if stopping else None
        run.fit(
            asked(ml.DataLoader((X[:32], Y[:32]), 8), lambda _, number: number == stop and interrupter.stop("enough"))
        )
        return run

    whole = build(tmp_path / "whole", stopping=False, going_on=False)
    assert build(tmp_path / "parts", stopping=True, going_on=False).stopped_by == "enough"
    rest = build(tmp_path / "parts", stopping=False, going_on=True)
    assert rest.history == whole.history
    assert whole.history["train"]["F1Score(average=macro)"][0] > 0
    for file in (tmp_path / "whole/train/epoch-1").iterdir():
        assert (tmp_path / "parts/train/epoch-1" / file.name).read_bytes() == file.read_bytes()


def test_more_items_than_float32_can_count_are_counted_and_states_of_earlier_versions_go_on() -> None:
    metric = KerasMetric(keras.metrics.CategoricalAccuracy())
    state, one = metric.merge(None, {"0": np.float32(2**24), "1": np.float32(2**25)}), np.float32(1)
    for _ in range(3):
        state = metric.merge(state, {"0": one, "1": one})
    assert metric.entry(state).value == (2**24 + 3) / (2**25 + 3)
    sample = {"y_true": np.eye(3, dtype="float32")[:1], "y_pred": np.eye(3, dtype="float32")[:1]}
    earlier = {"variables": [np.float32(3), np.float32(4)], "sample": sample}
    assert metric.entry(earlier).value == 0.75
    assert metric.entry(metric.merge(earlier, {"0": one, "1": np.float32(2)})).value == 4 / 6


def test_the_name_is_the_class_and_its_arguments_however_many_there_were_before() -> None:
    assert [KerasMetric(keras.metrics.AUC()).name for _ in range(3)] == ["AUC"] * 3
    assert (
        KerasMetric(keras.metrics.Precision(thresholds=0.7, class_id=2)).name == "Precision(thresholds=0.7, class_id=2)"
    )
    assert KerasMetric(keras.metrics.Recall(name="found")).name == "found"
    assert KerasMetric(keras.metrics.AUC()) == KerasMetric(keras.metrics.AUC())
    assert copy.deepcopy(KerasMetric(keras.metrics.AUC())) == KerasMetric(keras.metrics.AUC())
    assert KerasMetric(keras.metrics.AUC()) != KerasMetric(keras.metrics.AUC(curve="PR"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras.metrics.Mean(), "Mean"),
        (lambda: "accuracy", "'accuracy'"),
        (lambda: keras.metrics.AUC, "AUC"),
    ],
)
def test_what_compares_nothing_is_refused(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        KerasMetric(make())


def test_targets_are_given_in_the_form_that_is_asked_for() -> None:
    class Width(Share):
        def update_state(self, y_true: Any, y_pred: Any) -> None:
            self.right.assign(ops.cast(len(y_true.shape), "float32"))
            self.seen.assign(1.0)

    metrics = [KerasMetric(Width(), "one_hot"), KerasMetric(Width(name="w"), "ids")]
    found = evaluated(Classification(classifier()), metrics, (X[:BATCH], Y[:BATCH]))
    assert found == {"Width": 2.0, "w": 1.0}
    with pytest.raises(ConfigurationError, match="onehot"):
        KerasMetric(keras.metrics.AUC(), targets="onehot")


def test_more_than_one_result_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="average='macro'"):
        KerasMetric(keras.metrics.F1Score())
    several = keras.metrics.Precision(thresholds=[0.2, 0.7])
    run = learner(tmp_path / "run", Classification(classifier()), "sgd", 0.1, metrics=several)
    with pytest.raises(ConfigurationError, match="average='macro'"):
        run.fit(ml.DataLoader((X, Y), 8))
