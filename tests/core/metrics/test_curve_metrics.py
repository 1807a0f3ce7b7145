"""AUROC and average precision against scikit-learn and by hand: ties, one kind of item only, many batches."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize
from support.metric_epochs import MOMENT, classified, labelled, measured, over, pieces, through_a_record, value

from multilearn.events import Split
from multilearn.metrics import AUROC, AveragePrecision, OfOutput
from multilearn.metrics.store import MetricStore
from multilearn.outputs import SeveralOutputs
from multilearn.protocols import HostOutput, Output

REFERENCES: dict[Any, Any] = {AUROC: sk.roc_auc_score, AveragePrecision: sk.average_precision_score}
KINDS = pytest.mark.parametrize("kind", REFERENCES)
SEED = st.integers(0, 2**32 - 1)
CUTS = st.sets(st.integers(1, 30), max_size=4)


def expected_mean(kind: Any, truths: np.ndarray, scores: np.ndarray) -> float:
    """Of the columns in which there are both kinds of items."""
    each = [REFERENCES[kind](t, s) for t, s in zip(truths.T, scores.T, strict=True) if 0 < t.sum() < len(t)]
    return float(np.mean(each)) if each else math.nan


def tied_scores(draw: np.random.Generator, *shape: int) -> np.ndarray:
    """Few distinct ones, so that many are equal."""
    return draw.choice(np.array([0, 0.25, 0.5, 0.75, 1], "float32"), shape)


@KINDS
@given(SEED, st.integers(1, 30), CUTS)
@settings(max_examples=20)
def test_of_one_label_with_ties_it_is_that_of_scikit_learn(kind: Any, seed: int, items: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    scores, targets = tied_scores(draw, items, 1), draw.integers(0, 2, (items, 1))
    expected = expected_mean(kind, targets, scores)
    one = labelled(scores, targets, from_logits=False)
    two = classified(np.concatenate([1 - scores, scores], -1), targets[:, 0], from_logits=False)
    for whole in (one, two):
        assert value(kind.binary(), whole) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert repr(over(kind.binary(), pieces(whole, cuts))) == repr(over(kind.binary(), [whole]))


@KINDS
@given(SEED, st.integers(1, 30), st.integers(2, 5), CUTS, st.booleans())
@settings(max_examples=20)
def test_of_labels_it_is_that_of_scikit_learn(
    kind: Any, seed: int, items: int, labels: int, cuts: set[int], tied: bool
) -> None:
    draw = np.random.default_rng(seed)
    scores = tied_scores(draw, items, labels) if tied else draw.random((items, labels), "float32")
    targets = draw.integers(0, 2, (items, labels))
    whole = labelled(scores, targets, from_logits=False)
    macro, micro = kind.multilabel(), kind.multilabel(average="micro")
    assert value(macro, whole) == pytest.approx(expected_mean(kind, targets, scores), abs=1e-12, nan_ok=True)
    expected = expected_mean(kind, targets.reshape(-1, 1), scores.reshape(-1, 1))
    assert value(micro, whole) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for metric in (macro, micro):
        assert repr(over(metric, pieces(whole, cuts))) == repr(over(metric, [whole]))


@KINDS
@given(SEED, st.integers(1, 30), st.integers(2, 5), CUTS)
@settings(max_examples=20)
def test_of_classes_each_is_told_from_all_others(
    kind: Any, seed: int, items: int, classes: int, cuts: set[int]
) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.integers(-1, 2, (items, classes)), draw.integers(0, classes, items)
    whole = classified(logits, targets)
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    scores = scores.astype("float32").round(5)  # equal where they are equal in truth
    one_hot = np.eye(classes, dtype=int)[targets]
    macro, micro = kind.multiclass(), kind.multiclass(average="micro")
    given = classified(scores, targets, from_logits=False)
    assert value(macro, given) == pytest.approx(expected_mean(kind, one_hot, scores), abs=1e-12, nan_ok=True)
    expected = expected_mean(kind, one_hot.reshape(-1, 1), scores.reshape(-1, 1))
    assert value(micro, given) == pytest.approx(expected, abs=1e-12)
    for metric in (macro, micro):
        assert repr(over(metric, pieces(whole, cuts))) == repr(over(metric, [whole]))


def test_the_means_over_classes_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    scores, targets = draw.dirichlet(np.ones(4), 300).astype("float32"), draw.integers(0, 4, 300)
    scores /= scores.sum(-1, keepdims=True)
    whole, one_hot = classified(scores, targets, from_logits=False), label_binarize(targets, classes=range(4))
    for average in ("macro", "micro"):
        area = sk.roc_auc_score(targets, scores.astype("float64"), multi_class="ovr", average=average)
        assert value(AUROC.multiclass(average), whole) == pytest.approx(area, abs=1e-9)
        precision = sk.average_precision_score(one_hot, scores, average=average)
        assert value(AveragePrecision.multiclass(average), whole) == pytest.approx(precision, abs=1e-9)


def test_by_hand() -> None:
    # true 0.8 and 0.4, false 0.4 and 0.1: of four pairs three are in order, one is tied
    output = labelled([[0.8], [0.4], [0.4], [0.1]], [[1], [1], [0], [0]], from_logits=False)
    assert value(AUROC.binary(), output) == 3.5 / 4
    assert value(AveragePrecision.binary(), output) == 1 / 2 * 1 + 1 / 2 * 2 / 3
    wrong = labelled([[0.1], [0.9]], [[1], [0]], from_logits=False)
    assert (value(AUROC.binary(), wrong), value(AveragePrecision.binary(), wrong)) == (0.0, 0.5)
    same = labelled([[0.5]] * 4, [[1], [0], [0], [0]], from_logits=False)
    assert (value(AUROC.binary(), same), value(AveragePrecision.binary(), same)) == (0.5, 0.25)


@KINDS
def test_classes_with_one_kind_of_items_are_left_out(kind: Any) -> None:
    scores = np.array([[0.9, 0.3, 0.5], [0.2, 0.8, 0.5], [0.6, 0.1, 0.5]], "float32")
    targets = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]])
    only = labelled(scores[:, :1], targets[:, :1], from_logits=False)
    assert value(kind.multilabel(), labelled(scores, targets, from_logits=False)) == value(kind.binary(), only)


@KINDS
def test_where_there_is_nothing_to_tell_apart_it_is_not_a_number(kind: Any) -> None:
    for output in (classified([[1, 0]], [0], [0]), classified([[1, 0], [0, 1]], [1, 1])):
        assert math.isnan(value(kind.multiclass(), output))
        assert math.isnan(value(kind.binary(), output))
    assert math.isnan(value(kind.multilabel("micro"), labelled([[1, 0]], [[1, 1]])))


@KINDS
def test_a_score_that_is_not_a_number_is_not_hidden(kind: Any) -> None:
    logits = np.array([[0.1], [math.nan], [0.3]])
    assert math.isnan(value(kind.binary(), labelled(logits, [[0], [1], [1]])))
    assert value(kind.binary(), labelled(logits, [[0], [1], [1]], [1, 0, 1])) == 1.0


def folded(store: MetricStore, metrics: list[Any], output: Output) -> Any:
    return store.fold(Split.VALID, HostOutput({metric.name: measured(metric, output) for metric in metrics}), MOMENT)


def test_one_warning_says_why_and_none_is_about_batches(caplog: pytest.LogCaptureFixture) -> None:
    metrics: list[Any] = [AUROC.multiclass(), AveragePrecision.multiclass()]
    store = MetricStore({Split.VALID: metrics})
    one_kind, other = classified([[1, 0], [2, 0]], [0, 0]), classified([[1, 0]], [1])
    with caplog.at_level(logging.WARNING):
        store.begin(Split.VALID)
        assert math.isnan(folded(store, metrics, one_kind)[metrics[0].name].value)
        assert folded(store, metrics, other)[metrics[0].name].running == ""
        assert store.end(Split.VALID, 1)[metrics[0].name].value == 0.75
        assert caplog.messages == []
        for epoch in (2, 3):
            store.begin(Split.VALID)
            folded(store, metrics, one_kind)
            assert math.isnan(store.end(Split.VALID, epoch)[metrics[0].name].value)
    assert len(caplog.messages) == 2
    for metric, message in zip(metrics, caplog.messages, strict=True):
        assert message.startswith(f"{metric.name} is not a number: there are no two kinds")
        assert message.endswith("(valid, epoch 2)")


def test_the_warning_of_a_part_names_it_and_scores_that_are_no_numbers_are_another_reason() -> None:
    metric = OfOutput("kind", AUROC.binary())
    output = classified([[math.nan, 0], [2, 0]], [0, 1])
    state = metric.merge(None, measured(metric, SeveralOutputs(np.float32(0), 2, {"kind": output})))
    assert metric.costly
    assert metric.caution(state) == "kind AUROC(binary) is not a number: some of the scores are not."


@KINDS
def test_many_batches_are_few_chunks(kind: Any) -> None:
    draw = np.random.default_rng(3)
    scores, targets = draw.random((1000, 1), "float32"), draw.integers(0, 2, (1000, 1))
    whole, state = labelled(scores, targets, from_logits=False), None
    for output in pieces(whole, range(1000)):
        state = kind.binary().merge(state, measured(kind.binary(), output))
        assert len(state["scores"]) <= 10
    assert kind.binary().entry(state) == over(kind.binary(), [whole])
    assert through_a_record(kind.binary(), pieces(whole, range(0, 1000, 7)), 70) == over(kind.binary(), [whole])


def test_columns_that_are_sorted_apart_make_the_same_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    whole = classified(draw.normal(size=(50, 7)), draw.integers(0, 7, 50))
    expected = over(AUROC.multiclass(), [whole])
    monkeypatch.setattr("multilearn.metrics.curves._CELLS_AT_ONCE", 120)
    assert over(AUROC.multiclass(), [whole]) == expected


@KINDS
def test_a_batch_without_items_changes_nothing(kind: Any) -> None:
    draw = np.random.default_rng(1)
    scores, labels, ids = tied_scores(draw, 12, 3), draw.integers(0, 2, (12, 3)), draw.integers(0, 3, 12)
    for metric, whole, nothing in (
        (kind.multilabel(), labelled(scores, labels), labelled(scores[:0], labels[:0])),
        (kind.multiclass(), classified(scores, ids), classified(scores[:0], ids[:0])),
    ):
        assert over(metric, [nothing, whole, nothing]) == over(metric, [whole])
        assert math.isnan(value(metric, nothing))
