"""Loss and Accuracy against arithmetic and scikit-learn; a metric of one output; the store; array operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from support.metric_epochs import OPS, Array, classified, measured, over, slices, value

from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.metrics import Accuracy, Entry, Loss, Metric, OfOutput
from multilearn.metrics.store import MetricStore
from multilearn.outputs import ClassificationOutput, SeveralOutputs
from multilearn.protocols import HostOutput, Moment, Output

# --- accuracy ---------------------------------------------------------------------------------------------------------


def test_accuracy_is_the_share_of_items_whose_largest_logit_is_the_target() -> None:
    logits = [[2, 1, 0], [0, 1, 2], [5, 9, 5], [-1, -2, -3]]
    assert over(Accuracy(), [classified(logits, [0, 2, 0, 1])]) == Entry(0.5, 4)


def test_the_first_class_wins_ties() -> None:
    assert over(Accuracy(), [classified([[1, 1, 1], [0, 3, 3]], [0, 1])]) == Entry(1.0, 2)
    assert over(Accuracy(), [classified([[1, 1, 1], [0, 3, 3]], [1, 2])]) == Entry(0.0, 2)


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


def test_logits_that_are_not_numbers_are_not_right_by_accident() -> None:
    nan = math.nan
    assert over(Accuracy(), [classified([[0, nan, 0]], [2])]).value == 0.0


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
        for part in slices(items, cuts)
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
        for part in slices(items, cuts)
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


@pytest.mark.parametrize("metric", [Accuracy(), Loss()], ids=lambda metric: metric.name)
def test_what_leaves_the_device_is_counts_and_sums(metric: Metric) -> None:
    for x in measured(metric, classified([[1, 0], [0, 1], [3, 2]], [0, 0, 1])).values():
        assert x.shape == () and x.dtype in (np.int32, np.float32)


# --- one output among several -----------------------------------------------------------------------------------------

KIND = ClassificationOutput(
    np.float32(0.25), 4, np.array([[1, 0], [0, 1], [2, 1], [0, 3]], "float32"), np.array([0, 1, 1, 1], "int32")
)
SEVERAL = SeveralOutputs(np.float32(9.0), 4, {"kind": KIND, "size": Output(np.float32(2.0), 4)})


def test_a_metric_of_an_output_measures_that_one_and_says_so_in_its_name() -> None:
    accuracy = OfOutput("kind", Accuracy())
    assert (accuracy.name, accuracy.unit, accuracy.numeric) == ("kind Accuracy", "share", True)
    assert value(accuracy, SEVERAL, SEVERAL) == 0.75
    assert value(OfOutput("kind", Loss()), SEVERAL, SEVERAL) == 0.25
    assert value(OfOutput("size", Loss()), SEVERAL, SEVERAL) == 2.0
    assert eval(repr(accuracy)) == accuracy != OfOutput("size", Accuracy())


def test_what_has_no_such_output_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"called 'colour'.*'kind', 'size'"):
        value(OfOutput("colour", Accuracy()), SEVERAL)
    with pytest.raises(ConfigurationError, match=r"several outputs by name.*ClassificationOutput.*Accuracy itself"):
        value(OfOutput("kind", Accuracy()), KIND)
    with pytest.raises(ConfigurationError, match="name of an output and a metric"):
        OfOutput("kind", Accuracy)


def test_a_metric_that_has_nothing_to_say_of_a_value_stays_silent() -> None:
    class Silent(Loss):
        def caution(self, state: object) -> None:
            return None

    assert OfOutput("kind", Silent()).caution({}) is None
    assert OfOutput("kind", Loss()).caution({}) is None


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


# --- over the epoch ---------------------------------------------------------------------------------------------------


class Counting:
    """A metric that counts how often each half is asked for."""

    name, unit, numeric = "Counting", "", True

    def __init__(self) -> None:
        self.merged = self.entered = 0

    def merge(self, state: Any, measured: Any) -> Any:
        self.merged += 1
        return {"sum": measured["value"] + (state["sum"] if state else 0)}

    def entry(self, state: Any) -> Entry:
        self.entered += 1
        return Entry(float(state["sum"]))


@pytest.mark.parametrize("batches", [10, 1000])
def test_a_metric_is_asked_equally_often_in_every_batch_however_many_there_were(batches: int) -> None:
    metric: Any = Counting()
    store = MetricStore({Split.TRAIN: [metric]})
    store.begin(Split.TRAIN)
    for _ in range(batches):
        store.fold(Split.TRAIN, HostOutput({"Counting": {"value": 1}}), Moment(0.1, 0.0, 0.0))
    assert (metric.merged, metric.entered) == (2 * batches, 2 * batches)
    assert store.end(Split.TRAIN, 1)["Counting"].value == batches


def test_the_splits_of_a_record_keep_their_order_in_a_run_that_goes_on_with_the_next_epoch() -> None:
    def measure(store: MetricStore, split: Split) -> None:
        store.begin(split)
        store.fold(split, HostOutput({"Loss": {"loss": np.float32(1), "count": 1}}), Moment(0.1, 0.0, 0.0))

    stores = [MetricStore({Split.TRAIN: [Loss()], Split.VALID: [Loss()]}) for _ in range(2)]
    whole, resumed = stores
    measure(whole, Split.TRAIN)
    measure(whole, Split.VALID)
    resumed.restore(whole.state())
    for store in stores:
        measure(store, Split.TRAIN)
        assert list(store.state()["states"]) == ["train", "valid"]
