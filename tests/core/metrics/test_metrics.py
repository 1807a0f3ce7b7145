"""Loss and Accuracy against arithmetic and scikit-learn, on the numpy array operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from multilearn.errors import ConfigurationError
from multilearn.metrics import Accuracy, Entry, Loss, Metric, NumpyOps
from multilearn.outputs import ClassificationOutput, RegressionOutput
from multilearn.protocols import Output

Array = np.ndarray[Any, Any]
OPS = NumpyOps()


def classified(logits: Any, targets: Any, weights: Any = None) -> ClassificationOutput:
    """An output whose loss is of no interest."""
    logits, targets = np.asarray(logits, np.float32), np.asarray(targets, np.int32)
    weights = None if weights is None else np.asarray(weights, np.float32)
    return ClassificationOutput(np.float32(0), len(targets), logits, targets, weights)


def over(metric: Metric, outputs: Sequence[Output]) -> Entry:
    """The metric over an epoch of these batches."""
    state = None
    for output in outputs:
        state = metric.merge(state, {name: np.asarray(x) for name, x in metric.measure(OPS, output).items()})
    assert state is not None
    return metric.entry(state)


def split_at(items: int, cuts: set[int]) -> list[slice]:
    """Batches of no particular size, none of them empty."""
    edges = sorted({0, items, *(cut for cut in cuts if cut < items)})
    return [slice(a, b) for a, b in pairwise(edges)]


# --- accuracy ---------------------------------------------------------------------------------------------------------


def test_accuracy_is_the_share_of_items_whose_largest_logit_is_the_target() -> None:
    logits = [[2, 1, 0], [0, 1, 2], [5, 9, 5], [-1, -2, -3]]
    assert over(Accuracy(), [classified(logits, [0, 2, 0, 1])]) == Entry(0.5, 4)


def test_the_first_class_wins_ties() -> None:
    assert over(Accuracy(), [classified([[1, 1, 1], [0, 3, 3]], [0, 1])]) == Entry(1.0, 2)
    assert over(Accuracy(), [classified([[1, 1, 1], [0, 3, 3]], [1, 2])]) == Entry(0.0, 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 5), st.sets(st.integers(1, 39)))
def test_accuracy_is_that_of_scikit_learn_however_the_items_are_split(
    seed: int, items: int, classes: int, cuts: set[int]
) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.integers(-2, 3, (items, classes)), draw.integers(0, classes, items)
    batches = [classified(logits[part], targets[part]) for part in split_at(items, cuts)]
    assert over(Accuracy(), batches) == Entry(accuracy_score(targets, logits.argmax(axis=1)), items)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sets(st.integers(1, 39)))
def test_items_of_weight_zero_are_padding(seed: int, items: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    logits, targets = draw.normal(size=(items, 3)), draw.integers(0, 3, items)
    weights = draw.choice([0.0, 0.25, 1.0, 7.0], items)
    weights[0] = 1.0
    counted = weights > 0
    batches = [classified(logits[part], targets[part], weights[part]) for part in split_at(items, cuts)]
    assert over(Accuracy(), batches) == Entry(
        accuracy_score(targets[counted], logits[counted].argmax(axis=1)), counted.sum()
    )


def test_accuracy_counts_the_tokens_of_sequences() -> None:
    logits = np.zeros((2, 3, 4))
    logits[0, :, 1] = logits[1, :, 2] = 1
    targets, weights = [[1, 1, 0], [2, 0, 0]], [[1, 1, 1], [1, 1, 0]]
    assert over(Accuracy(), [classified(logits, targets)]) == Entry(0.5, 6)
    assert over(Accuracy(), [classified(logits, targets, weights)]) == Entry(0.6, 5)


def test_accuracy_of_nothing_is_not_a_number() -> None:
    value = over(Accuracy(), [classified([[1, 0]], [0], [0.0])])
    assert math.isnan(float(value.value))
    assert value.count == 0


def test_a_batch_of_padding_changes_nothing() -> None:
    batch, padding = classified([[1, 0], [1, 0]], [0, 1]), classified([[1, 0]], [0], [0.0])
    assert over(Accuracy(), [padding, batch, padding]) == over(Accuracy(), [batch])


def test_logits_that_are_not_numbers_are_not_right_by_accident() -> None:
    nan = math.nan
    assert over(Accuracy(), [classified([[0, nan, 0]], [2])]).value == 0.0


def test_accuracy_of_a_regression_is_refused_with_the_remedy() -> None:
    output = RegressionOutput(np.float32(0), 1, np.zeros(1), np.zeros(1))
    with pytest.raises(ConfigurationError, match=r"RegressionOutput.*Loss"):
        Accuracy().measure(OPS, output)


# --- loss -------------------------------------------------------------------------------------------------------------


def test_loss_weighs_the_ragged_last_batch_by_its_items() -> None:
    assert over(Loss(), [Output(np.float32(1.0), 2), Output(np.float32(4.0), 1)]) == Entry(2.0, 3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sets(st.integers(1, 39)))
def test_loss_is_that_of_scikit_learn_however_the_items_are_split(seed: int, items: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    scores, targets = draw.dirichlet([1.0, 1.0, 1.0], items), draw.integers(0, 3, items)
    scores = np.clip(scores, 1e-3, None)
    scores /= scores.sum(axis=1, keepdims=True)
    batches = [
        Output(np.float32(log_loss(targets[part], scores[part], labels=[0, 1, 2])), part.stop - part.start)
        for part in split_at(items, cuts)
    ]
    whole = over(Loss(), batches)
    assert whole.value == pytest.approx(log_loss(targets, scores, labels=[0, 1, 2]), rel=1e-6)
    assert whole.count == items


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sets(st.integers(1, 39)))
def test_a_weighted_loss_is_averaged_over_the_sum_of_weights(seed: int, items: int, cuts: set[int]) -> None:
    draw = np.random.default_rng(seed)
    losses, weights = draw.uniform(0, 3, items), draw.uniform(0.1, 2, items)
    batches = [
        Output(np.float32(np.average(losses[part], weights=weights[part])), np.float32(weights[part].sum()))
        for part in split_at(items, cuts)
    ]
    whole = over(Loss(), batches)
    assert whole.value == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    assert whole.count == pytest.approx(weights.sum(), rel=1e-5)


@pytest.mark.parametrize("loss", [0.0, math.nan, math.inf])
def test_a_batch_that_counts_nothing_has_no_say_in_the_loss(loss: float) -> None:
    nothing, batch = Output(np.float32(loss), 0), Output(np.float32(2.0), 4)
    assert over(Loss(), [nothing, batch, nothing]) == Entry(2.0, 4)
    alone = over(Loss(), [nothing])
    assert math.isnan(float(alone.value))
    assert alone.count == 0


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_not_hidden(loss: float) -> None:
    whole = over(Loss(), [Output(np.float32(1.0), 4), Output(np.float32(loss), 4)])
    assert repr(whole.value) == repr(loss)


def test_a_whole_count_is_an_integer_and_another_is_not() -> None:
    counts = [over(Loss(), [Output(np.float32(1.0), count)]).count for count in (3, 3.0, np.float32(3), 2.5)]
    assert counts == [3, 3, 3, 2.5]
    assert [type(count) for count in counts] == [int, int, int, float]


# --- both -------------------------------------------------------------------------------------------------------------

BATCHES = [classified([[1, 0], [0, 1], [3, 2]], [0, 0, 1]), classified([[0, 1]], [1])]


@pytest.mark.parametrize("metric", [Accuracy(), Loss()], ids=lambda metric: metric.name)
class TestEveryMetric:
    """What a metric promises whatever it measures."""

    def test_it_is_a_numeric_metric(self, metric: Metric) -> None:
        assert isinstance(metric, Metric)
        assert metric.numeric
        assert metric.unit in {"", "share"}

    def test_its_state_survives_a_checkpoint_between_batches(self, metric: Metric) -> None:
        first, second = ({k: np.asarray(v) for k, v in metric.measure(OPS, batch).items()} for batch in BATCHES)
        state = metric.merge(None, first)
        restored = msgpack.unpackb(msgpack.packb(state))
        assert restored == state
        assert metric.entry(metric.merge(restored, second)) == over(metric, BATCHES)

    def test_merging_changes_neither_the_state_nor_what_was_measured(self, metric: Metric) -> None:
        measured = {k: np.asarray(v) for k, v in metric.measure(OPS, BATCHES[0]).items()}
        state = metric.merge(None, measured)
        before = msgpack.packb(state), {k: v.copy() for k, v in measured.items()}
        metric.merge(state, measured)
        assert (msgpack.packb(state), measured) == before

    def test_what_leaves_the_device_is_counts_and_sums(self, metric: Metric) -> None:
        for x in metric.measure(OPS, BATCHES[0]).values():
            assert np.shape(x) == ()
            assert np.asarray(x).dtype in (np.int32, np.float32)


# --- array operations -------------------------------------------------------------------------------------------------

I8, U8, I64 = (np.array([[3, 1, 2]], kind) for kind in (np.int8, np.uint8, np.int64))
F16, F64 = (np.array([[0.5, -1.0, 2.0]], kind) for kind in (np.float16, np.float64))
BOOL = np.array([[True, False, True]])
INT, FLOAT, TRUTH = np.dtype(np.int32), np.dtype(np.float32), np.dtype(np.bool_)


@pytest.mark.parametrize("x", [I8, U8, I64, F16, F64, BOOL], ids=lambda x: str(x.dtype))
@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("int32", (), INT),
        ("float32", (), FLOAT),
        ("size", (), INT),
        ("argmax", (), INT),
        ("equal", (1,), TRUTH),
        ("greater", (0,), TRUTH),
        ("divide", (2,), FLOAT),
        ("exp", (), FLOAT),
        ("log", (), FLOAT),
        ("softmax", (), FLOAT),
        ("log_softmax", (), FLOAT),
        ("sigmoid", (), FLOAT),
    ],
)
def test_the_type_of_a_result_does_not_depend_on_that_of_the_argument(
    x: Array, name: str, arguments: tuple[Any, ...], kind: np.dtype[Any]
) -> None:
    assert np.asarray(getattr(OPS, name)(x, *arguments)).dtype == kind


@pytest.mark.parametrize(
    ("x", "kind"), [(I8, INT), (U8, INT), (I64, INT), (F16, FLOAT), (F64, FLOAT)], ids=lambda value: str(value)
)
def test_arithmetic_keeps_counts_whole_and_everything_else_single(x: Array, kind: np.dtype[Any]) -> None:
    results = [
        OPS.sum(x),
        OPS.sum(x, axis=1),
        OPS.add(x, x),
        OPS.subtract(x, x),
        OPS.multiply(x, x),
        OPS.absolute(x),
        OPS.where(BOOL, x, x),
    ]
    assert {np.asarray(result).dtype for result in results} == {kind}


def test_truths_are_counted_as_whole_numbers() -> None:
    assert (OPS.sum(BOOL), OPS.sum(BOOL).dtype) == (2, INT)
    assert OPS.one_hot(np.array([1]), 2).dtype == FLOAT
    assert OPS.top_k(F64, 2).dtype == INT


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.bool_])
def test_sums_of_small_types_do_not_overflow(kind: type[Any]) -> None:
    assert OPS.sum(np.ones(70_000, kind)) == 70_000


def test_top_k_puts_the_lower_id_first_on_ties() -> None:
    assert OPS.top_k(np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]]), 3).tolist() == [[1, 2, 3], [0, 1, 2]]


def test_one_hot_has_a_new_last_axis() -> None:
    assert OPS.one_hot(np.array([[0, 2]]), 3).tolist() == [[[1, 0, 0], [0, 0, 1]]]


def test_scores_of_extreme_logits_are_finite() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0]])
    assert OPS.softmax(logits).tolist() == [[1.0, 0.0, 0.0]]
    assert OPS.log_softmax(logits).tolist() == pytest.approx(np.asarray(logits) - np.max(logits))
    assert OPS.sigmoid(logits).tolist() == [[1.0, 0.5, 0.0]]


def test_dividing_by_nothing_is_not_an_error() -> None:
    assert repr(OPS.divide(np.array([0, 1]), 0).tolist()) == "[nan, inf]"
    assert OPS.log(np.array([0.0])).tolist() == [-math.inf]


def test_an_output_gives_probabilities_from_logits_and_from_probabilities() -> None:
    logits = np.log(np.array([[0.2, 0.8]], np.float32))
    by_logits = ClassificationOutput(np.float32(0), 1, logits, np.array([1]))
    by_scores = ClassificationOutput(np.float32(0), 1, np.exp(logits), np.array([1]), from_logits=False)
    for output in (by_logits, by_scores):
        np.testing.assert_allclose(output.scores(OPS), [[0.2, 0.8]], rtol=1e-6)
