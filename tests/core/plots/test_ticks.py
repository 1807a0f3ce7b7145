from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from multilearn.plots.ticks import label, labels, log_ticks, ticks

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-300, 1e300)


@pytest.mark.parametrize(
    ("low", "high", "most", "found"),
    [
        (0.0, 1.0, 6, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 1.0, 5, [0.0, 0.5, 1.0]),
        (0.97, 1.0, 4, [0.97, 0.98, 0.99, 1.0]),
        (-1.5, 1.5, 3, [-1.0, 0.0, 1.0]),
        (0.0, 14.0, 8, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]),
        (3e-5, 8e-5, 6, [3e-5, 4e-5, 5e-5, 6e-5, 7e-5, 8e-5]),
        (2.0, 2.0, 5, [2.0]),
        (math.nan, 2.0, 5, [math.nan]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, most: int, found: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(found, rel=0, abs=0, nan_ok=True)


@given(FINITE, FINITE, st.integers(1, 20))
def test_ticks_ascend_within_the_axis_and_are_no_more_than_asked_for(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    found = ticks(low, high, most)
    assert len(found) <= most
    assert found == sorted(set(found))
    air = 1e-6 * (high - low) if math.isfinite(high - low) else 0.0
    assert all(low - air <= value <= high + air for value in found)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(4, 20))
def test_an_axis_has_a_third_of_the_ticks_that_there_is_room_for(low: float, spread: float, most: int) -> None:
    assume(low + spread > low)
    assert len(ticks(low, low + spread, most)) >= most // 3


@pytest.mark.parametrize(
    ("low", "high", "most", "found"),
    [
        (0.01, 1.0, 3, [0.01, 0.1, 1.0]),
        (0.01, 1.0, 7, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]),
        (0.01, 1.0, 5, [0.01, 0.03, 0.1, 0.3, 1.0]),
        (1e-9, 1.0, 4, [1e-9, 1e-6, 1e-3, 1.0]),
        (0.21, 0.39, 5, [0.25, 0.3, 0.35]),  # no 1, 2 or 5 in there
    ],
)
def test_ticks_of_a_log_axis(low: float, high: float, most: int, found: list[float]) -> None:
    assert log_ticks(low, high, most) == found


@given(POSITIVE, POSITIVE, st.integers(1, 20))
def test_ticks_of_a_log_axis_ascend_within_it(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    found = log_ticks(low, high, most)
    assert len(found) <= most
    assert found == sorted(set(found))
    assert all(low * (1 - 1e-6) <= value <= high * (1 + 1e-6) for value in found)


@pytest.mark.parametrize(
    ("values", "unit", "log", "written"),
    [
        ([0.0, 0.5, 1.0], "", False, ["0.0", "0.5", "1.0"]),
        ([0.0, 20.0, 40.0], "", False, ["0", "20", "40"]),
        ([0.0, 5e-6, 1e-5], "", False, ["0", "5e-6", "1.0e-5"]),
        ([4e-4, 6e-4, 8e-4], "", False, ["0.0004", "0.0006", "0.0008"]),
        ([0.0, 5e6, 1e7], "", False, ["0", "5e6", "1.0e7"]),
        ([0.98, 0.985, 0.99], "share", False, ["98.0%", "98.5%", "99.0%"]),
        ([0.0, 0.5, 1.0], "share", False, ["0%", "50%", "100%"]),
        ([1e-5, 1e-2, 10.0], "", True, ["1e-5", "0.01", "10"]),
        ([3.0], "", False, ["3"]),
        ([], "", False, []),
    ],
)
def test_labels_have_the_digits_that_tell_ticks_apart(values: list, unit: str, log: bool, written: list) -> None:
    assert labels(values, unit, log=log) == written


@given(FINITE, FINITE, st.integers(2, 12))
def test_labels_of_ticks_are_short_and_different(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    assume(high - low > 1e-6 * max(abs(low), abs(high)) and math.isfinite(high - low) and high - low > 1e-290)
    written = labels(ticks(low, high, most))
    assert len(set(written)) == len(written)
    assert all(len(text) <= 16 for text in written)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_label_of_what_is_not_finite_names_it(value: float) -> None:
    assert label(value, 1.0) == {"nan": "NaN", "inf": "inf", "-inf": "-inf"}[str(value)]
