"""Metrics that are functions of counts, against scikit-learn and against arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from support.metric_epochs import OPS, classified, labelled, measured, over, pieces, through_a_record, value

from multilearn.errors import ConfigurationError
from multilearn.metrics import (
    AUROC,
    Accuracy,
    AveragePrecision,
    ConfusionMatrix,
    Dice,
    Entry,
    FBetaScore,
    HammingScore,
    Loss,
    MeanIoU,
    Metric,
    Precision,
    Recall,
    Specificity,
    TopKAccuracy,
)
from multilearn.outputs import ClassificationOutput, RegressionOutput, SeveralOutputs

SEED = st.integers(0, 2**32 - 1)
CUTS = st.sets(st.integers(1, 30), max_size=4)
AVERAGES = ("micro", "macro", "weighted")


def specificity_score(true: Any, found: Any, *, average: str, zero_division: float, classes: int = 0) -> float:
    """scikit-learn has none: from its matrices of each class."""
    # micro: also of classes that never occur, which are rightly never found
    every = range(classes) if classes and average == "micro" else None
    matrices = sk.multilabel_confusion_matrix(true, found, labels=every).astype(float)
    tn, fp, support = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1].sum(-1)
    if average == "micro":
        return tn.sum() / (tn.sum() + fp.sum()) if (tn + fp).sum() else zero_division
    each = np.where(tn + fp > 0, tn / np.maximum(tn + fp, 1), zero_division)
    if average == "weighted":
        return float((each * support).sum() / support.sum()) if support.sum() else zero_division
    return float(each.mean())


REFERENCES: dict[Any, Any] = {
    Precision: sk.precision_score,
    Recall: sk.recall_score,
    Specificity: specificity_score,
    FBetaScore: lambda true, found, **rest: sk.fbeta_score(true, found, beta=2, **rest),
}


def made(kind: Any, mode: str, *arguments: Any) -> Metric:
    return getattr(kind, mode)(*([2.0] if kind is FBetaScore else []), *arguments)


def weighted(draw: np.random.Generator, items: int) -> np.ndarray:
    """Weights of which some are zero, the first is not."""
    weights = draw.choice([0.0, 0.5, 3.0], items)
    weights[0] = 1.0
    return weights


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("kind", REFERENCES)
@given(SEED, st.integers(1, 30), st.integers(1, 5), CUTS)
@settings(max_examples=10)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_of_classes_it_is_that_of_scikit_learn_however_split(
    kind: Any, average: str, seed: int, items: int, classes: int, cuts: set[int]
) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.integers(-2, 3, (items, classes)), draw.integers(0, classes, items)
    weights = weighted(draw, items)
    whole = classified(logits, targets, weights)
    metric = made(kind, "multiclass", 1, average)
    true, found = targets[weights > 0], logits.argmax(1)[weights > 0]
    more = {"classes": classes} if kind is Specificity else {}
    expected = REFERENCES[kind](true, found, average=average, zero_division=0, **more)
    assert value(metric, whole) == pytest.approx(expected, abs=1e-12)
    assert over(metric, pieces(whole, cuts)) == over(metric, [whole])


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("kind", REFERENCES)
@given(SEED, st.integers(1, 20), st.integers(2, 4), CUTS, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
@settings(max_examples=10)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_of_labels_it_is_that_of_scikit_learn_however_split(
    kind: Any, average: str, seed: int, items: int, labels: int, cuts: set[int], threshold: float
) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.choice(np.array([0, 0.25, 0.5, 0.75, 1], "float32"), (items, labels))
    targets, weights = draw.integers(0, 2, (items, labels)), weighted(draw, items)
    whole = labelled(scores, targets, weights, from_logits=False)
    metric = made(kind, "multilabel", threshold, average)
    true, found = targets[weights > 0], (scores > threshold).astype(int)[weights > 0]
    expected = REFERENCES[kind](true, found, average=average, zero_division=0)
    assert value(metric, whole) == pytest.approx(expected, abs=1e-12)
    assert over(metric, pieces(whole, cuts)) == over(metric, [whole])


@pytest.mark.parametrize("kind", REFERENCES)
@given(SEED, st.integers(1, 20), CUTS)
@settings(max_examples=10)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_of_one_label_it_is_that_of_scikit_learn_from_a_label_and_from_two_classes(
    kind: Any, seed: int, items: int, cuts: set[int]
) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.choice(np.array([0, 0.125, 0.25, 0.5, 0.75, 1], "float32"), items)
    targets = draw.integers(0, 2, items)
    found = (scores > 0.25).astype(int)
    if kind is Specificity:
        expected = sk.recall_score(targets, found, pos_label=0, zero_division=0)
    else:
        expected = REFERENCES[kind](targets, found, average="binary", zero_division=0)
    metric = made(kind, "binary", 0.25)
    one = labelled(scores[:, None], targets[:, None], from_logits=False)
    two = classified(np.stack([1 - scores, scores], -1), targets, from_logits=False)
    for whole in (one, two):
        assert value(metric, whole) == pytest.approx(expected, abs=1e-12)
        assert over(metric, pieces(whole, cuts)) == over(metric, [whole])


def test_precision_and_recall_of_the_two_most_probable_classes_by_hand() -> None:
    # found {0, 1}, {1, 2}, {0, 2}; targets 0, 0, 2: class 0 is found twice, once rightly, and missed once
    output = classified([[3, 2, 1], [1, 3, 2], [3, 0, 2]], [0, 0, 2])
    assert value(Precision.multiclass(2, "macro"), output) == pytest.approx((1 / 2 + 0 / 2 + 1 / 2) / 3)
    assert value(Recall.multiclass(2, "macro"), output) == pytest.approx((1 / 2 + 0 + 1 / 1) / 3)
    assert value(Precision.multiclass(2, "micro"), output) == pytest.approx(2 / 6)
    assert value(Recall.multiclass(2, "micro"), output) == pytest.approx(2 / 3)


def test_a_score_on_the_threshold_is_not_above_it() -> None:
    output = labelled([[0.5], [0.5], [0.75]], [[1], [0], [1]], from_logits=False)
    assert value(Recall.binary(), output) == 0.5
    assert value(Precision.binary(), output) == 1.0
    assert value(HammingScore(), output) == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", REFERENCES)
def test_nothing_counted_and_nothing_found_is_zero(kind: Any) -> None:
    nothing = classified([[1, 0]], [1], [0])
    for metric in (made(kind, "multiclass"), made(kind, "multiclass", 1, "weighted"), made(kind, "binary")):
        assert value(metric, nothing) == 0.0
    assert value(made(kind, "multilabel"), labelled([[1, 0]], [[1, 0]], [0])) == 0.0


def test_all_wrong_is_zero_and_all_right_is_one() -> None:
    logits = np.eye(3)[[0, 1, 2]]
    for kind in REFERENCES:
        assert value(made(kind, "multiclass"), classified(logits, [0, 1, 2])) == 1.0
    for kind in (Precision, Recall, FBetaScore):
        assert value(made(kind, "multiclass"), classified(logits, [1, 2, 0])) == 0.0


# --- accuracies and Hamming -------------------------------------------------------------------------------------------


@given(SEED, st.integers(1, 30), st.integers(1, 6), st.data(), CUTS)
def test_top_k_accuracy_puts_the_lower_class_first_on_ties(
    seed: int, items: int, classes: int, data: Any, cuts: set[int]
) -> None:
    k = data.draw(st.integers(1, classes))
    draw = np.random.default_rng(seed)
    logits, targets = draw.integers(-2, 3, (items, classes)), draw.integers(0, classes, items)
    found = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    whole = classified(logits, targets)
    expected = Entry(float((found == targets[:, None]).any(1).sum() / items), items)
    assert over(TopKAccuracy(k), [whole]) == over(TopKAccuracy(k), pieces(whole, cuts)) == expected
    assert over(TopKAccuracy(1), [whole]) == over(Accuracy(), [whole])


def test_top_k_accuracy_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(5)
    logits, targets = draw.normal(size=(200, 7)).astype("float32"), draw.integers(0, 7, 200)
    for k in (1, 2, 5):
        expected = sk.top_k_accuracy_score(targets, logits, k=k, labels=range(7))
        assert value(TopKAccuracy(k), classified(logits, targets)) == pytest.approx(expected)


def test_a_target_whose_logit_is_not_a_number_is_not_among_the_first() -> None:
    assert value(TopKAccuracy(2), classified([[0, math.nan, 1]], [1])) == 0.0
    assert value(TopKAccuracy(2), classified([[0, math.nan, 1]], [0])) == 0.0


def test_more_first_classes_than_classes_are_refused() -> None:
    for metric in (TopKAccuracy(4), Precision.multiclass(4)):
        with pytest.raises(ConfigurationError, match=r"at least 4 classes.*Received: 3"):
            metric.measure(OPS, classified([[1, 2, 3]], [0]))


@given(SEED, st.integers(1, 20), st.integers(1, 4), CUTS)
def test_the_hamming_score_is_one_minus_the_hamming_loss(seed: int, items: int, labels: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.normal(size=(items, labels)), draw.integers(0, 2, (items, labels))
    whole = labelled(logits, targets)
    expected = 1 - sk.hamming_loss(targets, (logits > 0).astype(int))
    found = over(HammingScore(), pieces(whole, cuts))
    assert found == over(HammingScore(), [whole])
    assert (found.value, found.count) == (pytest.approx(expected, abs=1e-12), items * labels)


# --- what does not count ----------------------------------------------------------------------------------------------

OF_CLASSES: list[Metric] = [
    Accuracy(),
    TopKAccuracy(2),
    *(kind.multiclass() for kind in (Precision, Recall, FBetaScore, Specificity, AUROC, AveragePrecision)),
    Precision.multiclass(top_k=2, average="micro"),
    Dice(),
    MeanIoU(include_background=False),
    ConfusionMatrix(),
]
OF_LABELS: list[Metric] = [
    *(kind.multilabel() for kind in (Precision, Recall, FBetaScore, Specificity, AUROC, AveragePrecision)),
    HammingScore(),
    Dice(),
    MeanIoU(),
]
OF_ONE: list[Metric] = [kind.binary() for kind in (Precision, Recall, FBetaScore, Specificity, AUROC, AveragePrecision)]


def named(metric: Any) -> str:
    return metric.name


def ignoring(metric: Any, target: int) -> Any:
    return replace(metric, ignore_index=target)


@pytest.mark.parametrize("ignored", [-1, 1, 255])
@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
def test_items_of_weight_zero_or_of_the_ignored_class_are_as_if_not_there(metric: Any, ignored: int) -> None:
    draw = np.random.default_rng(3)
    logits, targets = draw.normal(size=(40, 3)), draw.integers(0, 3, 40)
    targets[targets == ignored] = 0
    left_out = draw.random(40) < 0.4
    expected = over(metric, [classified(logits[~left_out], targets[~left_out])])
    by_weight = classified(logits, targets, ~left_out)
    by_class = classified(logits, np.where(left_out, ignored, targets))
    assert over(metric, pieces(by_weight, {7, 8, 30})) == expected
    assert over(ignoring(metric, ignored), pieces(by_class, {7, 8, 30})) == expected
    both = classified(logits, np.where(left_out, ignored, targets), np.arange(40) < 39)
    rest = ~left_out & (np.arange(40) < 39)
    assert over(ignoring(metric, ignored), [both]) == over(metric, [classified(logits[rest], targets[rest])])


@pytest.mark.parametrize("metric", [*OF_LABELS, *OF_ONE], ids=named)
def test_labels_of_items_of_weight_zero_are_as_if_not_there(metric: Any) -> None:
    draw = np.random.default_rng(4)
    labels = 1 if metric in OF_ONE else 3
    logits, targets = draw.normal(size=(40, labels)), draw.integers(0, 2, (40, labels))
    kept = draw.random(40) < 0.6
    expected = over(metric, [labelled(logits[kept], targets[kept])])
    assert over(metric, pieces(labelled(logits, targets, kept), {7, 8, 30})) == expected
    ignored = np.where(kept[:, None], targets, -1)
    assert over(ignoring(metric, -1), pieces(labelled(logits, ignored), {7, 8, 30})) == expected


@pytest.mark.parametrize("kind", [Precision, AUROC])
def test_single_labels_can_be_ignored(kind: Any) -> None:
    draw = np.random.default_rng(6)
    logits, targets = draw.normal(size=(30, 2)).astype("float32"), draw.integers(0, 2, (30, 2))
    targets[:10, 0] = -1
    each = [
        value(kind.binary(), labelled(logits[rows, label, None], targets[rows, label, None]))
        for label, rows in ((0, slice(10, None)), (1, slice(None)))
    ]
    assert value(kind.multilabel(ignore_index=-1), labelled(logits, targets)) == pytest.approx(np.mean(each))


def test_a_weight_for_each_sequence_is_one_for_each_of_its_tokens() -> None:
    logits, targets = np.zeros((2, 3, 4)), np.zeros((2, 3))
    assert over(Accuracy(), [classified(logits, targets, [1, 0])]) == Entry(1.0, 3)
    assert over(HammingScore(), [labelled(logits, np.zeros((2, 3, 4)), [1, 0])]) == Entry(1.0, 12)


# --- segmentation -----------------------------------------------------------------------------------------------------


def test_overlaps_of_classes_by_hand() -> None:
    # found 0 0 1 1, true 0 1 1 1; class 2 occurs nowhere and is left out
    logits = np.eye(3)[[[0, 0], [1, 1]]][None]
    output = classified(logits, [[[0, 1], [1, 1]]])
    assert value(Dice(), output) == pytest.approx((2 * 1 / (2 + 1) + 2 * 2 / (2 + 3)) / 2)
    assert value(MeanIoU(), output) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert value(Dice(include_background=False), output) == pytest.approx(4 / 5)
    assert value(MeanIoU(include_background=False), output) == pytest.approx(2 / 3)
    assert value(Dice(average="micro"), output) == pytest.approx(3 / 4)
    assert value(MeanIoU(average="micro"), output) == pytest.approx(3 / 5)


def test_overlaps_of_masks_by_hand() -> None:
    scores = np.array([[[[0.9, 0.2], [0.6, 0.2]], [[0.1, 0.2], [0.6, 0.2]]]], "float32")
    true = np.array([[[[1, 0], [1, 0]], [[1, 0], [0, 0]]]])
    output = labelled(scores, true, from_logits=False)
    assert value(Dice(), output) == pytest.approx(2 * 2 / (3 + 3))
    assert value(MeanIoU(), output) == pytest.approx(2 / 4)
    assert value(MeanIoU(threshold=0.7), output) == pytest.approx(1 / 3)
    assert value(MeanIoU(threshold=0.1), output) == pytest.approx((2 / 4 + 0) / 2)


@given(SEED, st.integers(1, 6), st.integers(2, 5), CUTS)
@settings(max_examples=10)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_overlaps_are_those_of_scikit_learn_however_split(seed: int, items: int, classes: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.normal(size=(items, 2, 3, classes)), draw.integers(0, classes, (items, 2, 3))
    whole, true, found = classified(logits, targets), targets.ravel(), logits.argmax(-1).ravel()
    assert value(MeanIoU(), *pieces(whole, cuts)) == pytest.approx(sk.jaccard_score(true, found, average="macro"))
    assert value(Dice(), *pieces(whole, cuts)) == pytest.approx(sk.f1_score(true, found, average="macro"))
    assert over(MeanIoU(), pieces(whole, cuts)) == over(MeanIoU(), [whole])


def test_overlaps_of_nothing_are_not_numbers() -> None:
    empty = labelled(np.full((1, 2, 2, 1), 0.1), np.zeros((1, 2, 2, 1)), from_logits=False)
    for metric in (Dice(), MeanIoU()):
        assert math.isnan(value(metric, empty))
        assert math.isnan(value(metric, classified([[1, 0]], [0], [0])))
        full = labelled(np.full((1, 2, 2, 1), 0.9), np.ones((1, 2, 2, 1)), from_logits=False)
        assert value(metric, empty, full) == 1.0


# --- what all of them promise -----------------------------------------------------------------------------------------


def outputs_for(metric: Metric) -> list[Any]:
    draw = np.random.default_rng(8)
    labels = 1 if metric in OF_ONE else 3
    if metric in OF_LABELS or metric in OF_ONE:
        return pieces(labelled(draw.normal(size=(17, labels)), draw.integers(0, 2, (17, labels))), {5, 10, 16})
    return pieces(classified(draw.normal(size=(17, 3)), draw.integers(0, 3, 17)), {5, 10, 16})


EVERY = [*OF_CLASSES, *OF_LABELS, *OF_ONE]


@pytest.mark.parametrize("metric", [*EVERY, Loss()], ids=named)
def test_a_state_that_is_saved_inside_an_epoch_goes_on_to_the_same_value(metric: Any) -> None:
    outputs = outputs_for(metric)
    for at in range(len(outputs) + 1):
        assert through_a_record(metric, outputs, at) == over(metric, outputs)


@pytest.mark.parametrize("metric", [*EVERY, Loss()], ids=named)
def test_merging_changes_neither_argument(metric: Any) -> None:
    first, second = (measured(metric, output) for output in outputs_for(metric)[:2])
    state = metric.merge(None, first)
    before = repr(state), repr(second)
    metric.merge(state, second)
    assert (repr(state), repr(second)) == before


@pytest.mark.parametrize("metric", EVERY, ids=named)
def test_a_metric_is_plain_data_that_its_repr_gives_back(metric: Any) -> None:
    assert eval(repr(metric)) == metric
    assert hash(eval(repr(metric))) == hash(metric)
    assert isinstance(metric, Metric)


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
@pytest.mark.parametrize("kind", ["float16", "float64", "int8"])
def test_logits_of_any_type_do(metric: Any, kind: str) -> None:
    draw = np.random.default_rng(9)
    logits, targets = draw.integers(-3, 4, (20, 3)), draw.integers(0, 3, 20)
    expected = over(metric, [classified(logits, targets)])
    other = ClassificationOutput(np.float32(0), 20, logits.astype(kind), targets.astype("uint8"))
    assert over(metric, [other]) == expected


@pytest.mark.parametrize("metric", OF_CLASSES, ids=named)
def test_tokens_are_items(metric: Any) -> None:
    draw = np.random.default_rng(10)
    logits, targets = draw.normal(size=(4, 5, 3)), draw.integers(0, 3, (4, 5))
    flat = classified(logits.reshape(20, 3), targets.ravel())
    assert over(metric, pieces(classified(logits, targets), {1})) == over(metric, [flat])


def test_names_carry_the_parameters_and_differ() -> None:
    variants: list[Any] = [
        *(kind.binary(threshold=t) for kind in (Precision, Recall, Specificity) for t in (0.5, 0.25)),
        *(FBetaScore.binary(b, t) for b in (0.5, 1, 2) for t in (0.5, 0.25)),
        *(kind.multiclass(k, a) for kind in (Precision, Recall, Specificity) for k in (1, 2) for a in AVERAGES),
        *(kind.multilabel(average=a, ignore_index=i) for kind in REFERENCES for a in AVERAGES for i in (None, 0, -1)),
        *(kind.multiclass(average=a) for kind in (AUROC, AveragePrecision) for a in ("micro", "macro")),
        *(kind.multilabel(average=a) for kind in (AUROC, AveragePrecision) for a in ("micro", "macro")),
        *(kind(*given) for kind in (Dice, MeanIoU) for given in ((), (0.3,), (0.3, "micro"), (0.3, "micro", False))),
        *(TopKAccuracy(k, i) for k in (1, 5) for i in (None, 0)),
        *(ConfusionMatrix(c, i) for c in (None, 2, ("a", "b"), ("b", "a")) for i in (None, 0)),
        *(HammingScore(t) for t in (0.5, 0.25)),
        Accuracy(),
        Accuracy(ignore_index=0),
    ]
    assert len({metric.name for metric in variants}) == len(variants) == len(set(variants))
    assert Precision.multiclass().name == "Precision(multiclass, macro)"
    assert FBetaScore.binary(2, 0.25).name == "FBetaScore(beta=2, binary, threshold=0.25)"


def test_settings_that_mean_the_same_make_equal_metrics() -> None:
    assert Precision() == Precision.binary() == Precision(mode="binary", threshold=np.float32(0.5))
    assert FBetaScore(2, mode="multiclass") == FBetaScore.multiclass(beta=2.0, top_k=np.int64(1))
    assert ConfusionMatrix(["a", "b"]) == ConfusionMatrix(("a", "b"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Precision(mode="multi"), "binary, multiclass, multilabel"),
        (lambda: Precision.multiclass(average="mean"), "micro, macro, weighted"),
        (lambda: Precision.multiclass("macro"), "'macro'"),
        (lambda: Precision.multiclass(top_k=0), "at least 1"),
        (lambda: Precision(mode="binary", average="macro"), "no average"),
        (lambda: Recall(mode="multiclass", threshold=0.5), "no threshold"),
        (lambda: Recall.binary(50), "from 0 to 1"),
        (lambda: Recall.binary(math.nan), "from 0 to 1"),
        (lambda: FBetaScore(-1), "0 or more"),
        (lambda: FBetaScore(math.inf), "0 or more"),
        (lambda: TopKAccuracy(0), "at least 1"),
        (lambda: Accuracy(ignore_index=0.5), "whole number"),
        (lambda: AUROC.multiclass(average="weighted"), "micro, macro"),
        (lambda: AUROC(average="macro"), "no average"),
        (lambda: Dice(average="weighted"), "micro, macro"),
        (lambda: MeanIoU(include_background=0), "True or False"),
        (lambda: HammingScore(1.5), "from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make()


CLASSES, LABELS = classified([[1, 2, 3]], [0]), labelled([[1, 2, 3]], [[0, 1, 0]])
NUMBERS = RegressionOutput(np.float32(0), 1, np.zeros(1), np.zeros(1))
SEVERAL = SeveralOutputs(np.float32(0), 1, {"a": CLASSES})


@pytest.mark.parametrize(
    ("metric", "output", "said"),
    [
        *((metric, NUMBERS, "RegressionOutput.*Use it with a") for metric in EVERY),
        *((metric, SEVERAL, "SeveralOutputs.*OfOutput") for metric in EVERY),
        (Accuracy(), LABELS, "MultiLabelOutput.*HammingScore"),
        (Recall.multiclass(), LABELS, "MultiLabelOutput.*multilabel"),
        (Recall.multilabel(), CLASSES, "ClassificationOutput.*multiclass"),
        (HammingScore(), CLASSES, "ClassificationOutput.*Accuracy"),
        (Recall.binary(), CLASSES, "3 classes.*multiclass"),
        (AUROC.binary(), LABELS, "3 labels.*multilabel"),
        (Accuracy(), classified([[1, 2]], [[0]]), r"\(1, 1\).*reshape"),
        (AUROC.binary(), labelled([[1]], [0]), r"\(1,\).*reshape"),
    ],
)
def test_an_output_that_does_not_fit_is_refused_with_the_remedy(metric: Any, output: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        metric.measure(OPS, output)
    assert metric.name in str(refusal.value)
