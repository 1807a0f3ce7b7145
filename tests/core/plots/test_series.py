from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.plots.series import BoundedSeries

VALUES = st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), float("-inf")])


def series(y: np.ndarray) -> BoundedSeries:
    made = BoundedSeries()
    x = np.arange(len(y), dtype=float)
    for start in range(0, len(y), 700):
        made.extend(x[start : start + 700], y[start : start + 700])
    return made


@given(st.lists(VALUES, max_size=60), st.integers(1, 200))
def test_extremes_are_those_of_numpy_whatever_the_length(values: list[float], times: int) -> None:
    y = np.tile(np.array(values, dtype=float), times)
    x, mean, least, greatest = series(y).all()
    finite = y[np.isfinite(y)]
    assert len(x) == len(mean) == len(least) == len(greatest) <= 1024
    if len(finite):
        assert (np.nanmin(least), np.nanmax(greatest)) == (finite.min(), finite.max())
        whole = np.isfinite(least)
        assert np.all(least[whole] <= mean[whole] + 1e-6) and np.all(mean[whole] <= greatest[whole] + 1e-6)
    else:
        assert not np.isfinite(least).any()


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 5000, 40_000])
def test_each_bucket_is_the_points_that_are_in_it(count: int) -> None:
    y = np.random.default_rng(count).normal(size=count)
    x, mean, least, greatest = series(y).all()
    stride = next(2**k for k in range(20) if count <= 1024 * 2**k)
    parts = [slice(start, start + stride) for start in range(0, count, stride)]
    at = np.arange(count)
    assert x == pytest.approx(np.array([at[part].mean() for part in parts]))
    assert mean == pytest.approx(np.array([y[part].mean() for part in parts]))
    assert least.tolist() == [y[part].min() for part in parts]
    assert greatest.tolist() == [y[part].max() for part in parts]


def test_points_may_come_one_by_one() -> None:
    y = np.sin(np.arange(3000))
    seen, made = BoundedSeries(), series(y)
    for x, value in enumerate(y):
        seen.extend(np.array([float(x)]), np.array([value]))
    for one, other in zip(seen.all(), made.all(), strict=True):
        assert one == pytest.approx(other)


def test_the_last_thousand_points_are_kept_as_they_were() -> None:
    y = np.arange(2500.0) ** 2
    made = series(y)
    assert made.last == 2499.0 and len(made) == 2500 and made.coarse
    x, kept = made.recent()
    assert x.tolist() == list(range(1500, 2500)) and kept.tolist() == y[1500:].tolist()


def test_x_can_be_counted_in_another_unit_afterwards() -> None:
    made = BoundedSeries()
    made.extend(2.0 + np.arange(1.0, 5.0), np.ones(4))
    made.stretch(2.0, 1 / 4)
    made.extend(np.array([3.5]), np.array([2.0]))
    assert made.all()[0].tolist() == [2.25, 2.5, 2.75, 3.0, 3.5]
    assert made.recent()[0].tolist() == [2.25, 2.5, 2.75, 3.0, 3.5]


def test_nothing_is_a_series_too() -> None:
    made = BoundedSeries()
    assert made.last is None and not made.coarse and len(made) == 0
    assert [len(part) for part in made.all()] == [0, 0, 0, 0]
    assert [len(part) for part in made.recent()] == [0, 0]
