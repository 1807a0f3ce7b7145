"""Metrics of numbers against scikit-learn and arithmetic, however the items are split into batches."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from support.metric_epochs import OPS, Array, over, pieces

from multilearn.errors import ConfigurationError, DataError
from multilearn.metrics import R2, Entry, Mean, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from multilearn.outputs import ClassificationOutput, RegressionOutput, SeveralOutputs
from multilearn.protocols import Output

ALL = [MeanAbsoluteError(), MeanSquaredError(), RootMeanSquaredError(), R2()]


def regressed(predictions: Any, targets: Any, weights: Any = None) -> RegressionOutput:
    """An output whose loss is of no interest."""
    weights = None if weights is None else np.asarray(weights, np.float32)
    return RegressionOutput(
        np.float32(0), len(predictions), np.asarray(predictions, np.float32), np.asarray(targets, np.float32), weights
    )


def single(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SPLITS = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sets(st.integers(1, 39)))


@given(SPLITS, st.sampled_from([(), (1,), (3,)]), st.sampled_from([0.0, 1e6, -3e4]))
def test_values_are_those_of_scikit_learn_however_the_items_are_split(
    how: tuple[int, int, set[int]], inner: tuple[int, ...], offset: float
) -> None:
    seed, items, cuts = how
    targets = (single(items, *inner, seed=seed) + offset).astype(np.float32)
    predictions = (targets + single(items, *inner, seed=seed + 1)).astype(np.float32)
    split = pieces(regressed(predictions, targets), cuts)
    y, p = targets.astype(np.float64), predictions.astype(np.float64)
    squared = reference.mean_squared_error(y, p)
    assert over(MeanAbsoluteError(), split) == Entry(
        pytest.approx(reference.mean_absolute_error(y, p), rel=1e-6), y.size
    )
    assert over(MeanSquaredError(), split) == Entry(pytest.approx(squared, rel=1e-6), y.size)
    assert over(RootMeanSquaredError(), split) == Entry(pytest.approx(math.sqrt(squared), rel=1e-6))
    assert over(R2(), split).value == pytest.approx(reference.r2_score(y, p), rel=1e-9, abs=1e-9)
    for metric in ALL:
        assert over(metric, split).value == pytest.approx(
            over(metric, pieces(regressed(predictions, targets), set())).value, rel=1e-12
        )


@given(SPLITS)
def test_items_of_weight_zero_are_padding_and_all_others_weigh_alike(how: tuple[int, int, set[int]]) -> None:
    seed, items, cuts = how
    targets, predictions = single(items, 2, seed=seed), single(items, 2, seed=seed + 1)
    weights = np.random.default_rng(seed).integers(0, 3, items) / 2
    padded = np.where(weights[:, None] > 0, predictions, np.nan)
    kept = weights > 0
    for metric in ALL:
        found = over(metric, pieces(regressed(padded, targets, weights), cuts))
        expected = over(metric, [regressed(predictions[kept], targets[kept])])
        assert found == Entry(pytest.approx(expected.value, rel=1e-12, nan_ok=True), expected.count)


def test_an_offset_of_a_million_costs_r2_no_digit() -> None:
    targets = (1e6 + np.arange(50) % 7 / 16).astype(np.float32)
    predictions = (targets + 1 / 16).astype(np.float32)
    y = targets.astype(np.float64)
    expected = 1 - 50 / 256 / ((y - y.mean()) ** 2).sum()
    assert over(R2(), pieces(regressed(predictions, targets), {1, 2, 30})).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.3])
def test_equal_targets_have_an_r2_of_one_or_zero_as_in_scikit_learn(constant: float) -> None:
    targets = np.full(23, constant, np.float32)
    assert over(R2(), pieces(regressed(targets, targets), {4, 9})).value == 1.0
    wrong = targets.copy()
    wrong[5] += 1
    assert over(R2(), pieces(regressed(wrong, targets), {4, 9})).value == 0.0
    assert reference.r2_score(np.zeros(3), np.zeros(3)) == 1.0
    assert reference.r2_score(np.zeros(3), np.ones(3)) == 0.0


def test_r2_of_fewer_than_two_items_is_not_a_number() -> None:
    assert math.isnan(float(over(R2(), [regressed([[1.0]], [[1.0]])]).value))
    weights = [0.0, 1.0]
    assert math.isnan(float(over(R2(), [regressed([[1.0], [2.0]], [[1.0], [3.0]], weights)]).value))


def test_a_batch_of_padding_says_nothing() -> None:
    real, padding = regressed([[1.0], [2.0]], [[0.0], [3.0]]), regressed([[9.0]], [[1.0]], [0.0])
    for metric in ALL:
        assert over(metric, [padding, real, padding]) == over(metric, [real])
    assert math.isnan(float(over(MeanAbsoluteError(), [padding]).value))
    assert over(MeanAbsoluteError(), [padding]).count == 0


def test_outputs_of_r2_are_the_last_axis_and_every_step_of_a_sequence_is_an_item() -> None:
    targets, predictions = single(4, 5, 2, seed=1), single(4, 5, 2, seed=2)
    weights = np.ones((4, 5), np.float32)
    weights[:, 3:] = 0
    y, p = (array[:, :3].reshape(-1, 2).astype(np.float64) for array in (targets, predictions))
    split = pieces(regressed(predictions, targets, weights), {3})
    assert over(R2(), split).value == pytest.approx(reference.r2_score(y, p), rel=1e-6)
    found = over(MeanAbsoluteError(), split)
    assert found == Entry(pytest.approx(np.abs(y - p).mean(), rel=1e-6), 4 * 3 * 2)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_last_axis_of_one_may_be_missing_and_nothing_is_stretched(shape: tuple[int, ...]) -> None:
    predictions, targets = np.array([1.0, 2.0, 4.0]), np.array([[1.0], [1.0], [1.0]])
    for output in (
        regressed(predictions.reshape(shape), targets),
        regressed(targets, predictions.reshape(shape), [[1.0], [1.0], [1.0]]),
    ):
        assert over(MeanAbsoluteError(), [output]) == Entry(pytest.approx(4 / 3), 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_shows_and_warns_of_nothing(value: float) -> None:
    output = regressed([[value], [1.0], [2.0]], [[0.0], [1.0], [3.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = float(over(RootMeanSquaredError(), [output]).value)
        found = float(over(R2(), [output, output]).value)
    # squares of float32 end at 3e38
    assert (math.isnan(error) and math.isnan(found)) if math.isnan(value) else (error == math.inf and found < -1e70)


def test_values_of_any_magnitude_are_told_apart() -> None:
    for size in (1e-18, 1.0, 1e18):
        output = regressed([[size], [3 * size]], [[0.0], [0.0]])
        assert over(MeanAbsoluteError(), [output]).value == pytest.approx(2 * size)
        assert over(RootMeanSquaredError(), [output]).value == pytest.approx(math.sqrt(5) * size)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (ClassificationOutput(0, 1, np.zeros((1, 2)), np.zeros(1)), "Regression task"),
        (SeveralOutputs(0, 1, {"a": regressed([1.0], [1.0])}), "OfOutput"),
        (regressed(np.zeros((3, 2)), np.zeros((3, 3))), r"\(3, 3\)"),
        (regressed(np.zeros((3, 2)), np.zeros((3, 1))), r"\(3, 1\)"),
        (regressed(np.zeros((3, 2)), np.zeros(3)), r"\(3,\)"),
        (RegressionOutput(0, 1, {"a": np.zeros((3, 1))}, {"a": np.zeros((3, 1))}), "Regression task"),
    ],
)
def test_what_is_no_regression_is_refused_with_the_remedy(output: Output, says: str) -> None:
    for metric in ALL:
        with pytest.raises(ConfigurationError, match=says):
            metric.measure(OPS, output)


def test_outputs_that_come_and_go_are_refused() -> None:
    with pytest.raises(DataError, match="2 outputs after 3"):
        over(R2(), [regressed(np.zeros((4, 3)), np.zeros((4, 3))), regressed(np.zeros((4, 2)), np.zeros((4, 2)))])


# --- the mean of a field ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coded(Output):
    """What an autoencoder with two losses hands over."""

    reconstruction: Any = None
    sparsity: Any = None


def test_the_mean_of_a_field_weighs_batches_as_the_loss_does() -> None:
    epoch = [Coded(0.0, 3, np.float32(1.0), 2.0), Coded(0.0, np.float32(1), np.float32(5.0), 6.0)]
    assert over(Mean("reconstruction"), epoch) == Entry(2.0, 4)
    assert over(Mean("sparsity"), epoch) == Entry(3.0, 4)
    nothing = Coded(0.0, 0, np.float32(np.nan), 0.0)
    assert over(Mean("reconstruction"), [nothing, *epoch]) == Entry(2.0, 4)
    assert math.isnan(float(over(Mean("reconstruction"), [nothing]).value))
    assert Mean("reconstruction").name != Mean("sparsity").name


@pytest.mark.parametrize(
    ("field", "says"),
    [("recon", "reconstruction, sparsity"), ("vector", r"\(2,\)"), ("nothing", "NoneType"), ("__class__", "type")],
)
def test_a_field_that_is_no_number_is_refused_naming_those_that_are(field: str, says: str) -> None:
    @dataclass(frozen=True)
    class More(Coded):
        vector: Any = None
        nothing: Any = None

    with pytest.raises(ConfigurationError, match=says):
        Mean(field).measure(OPS, More(0.0, 1, 1.0, 2.0, np.zeros(2)))


@pytest.mark.parametrize("field", ["", "two words", 3, None])
def test_what_names_no_field_is_refused(field: Any) -> None:
    with pytest.raises(ConfigurationError, match="name of a field"):
        Mean(field)
