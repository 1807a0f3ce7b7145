"""Metrics of runs as lines: means and areas over seeds, colours, reductions of long curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from multilearn.events import Split
from multilearn.plots.curves import RunCurve, chart_of, colours_of
from multilearn.plots.series import BoundedSeries

TRAIN, VALID = Split.TRAIN, Split.VALID


def curve(run: str, group: str, *values: float, split: Split = VALID) -> RunCurve:
    return RunCurve(run, group, split, dict(enumerate(values, 1)))


def test_a_group_of_several_runs_is_their_mean_with_the_area_between_the_extremes() -> None:
    curves = [curve("a1", "a", 1.0, 2.0), curve("a2", "a", 3.0, 8.0, 5.0), curve("b1", "b", 4.0, 4.0)]
    chart = chart_of("Loss", "", curves, colours_of("ab"))
    thin, mean, single = chart.lines[:2], *chart.lines[2:]
    assert [(line.name, line.thin) for line in thin] == [("a1, valid", True), ("a2, valid", True)]
    assert (mean.name, mean.x, mean.y) == ("a, valid, mean of 2 runs", [1, 2, 3], [2, 5, 5])
    assert mean.band == ([1, 2, 5], [3, 8, 5])
    assert (single.name, single.colour, single.band) == ("b, valid", 1, None)
    assert len(chart_of("Loss", "", curves, colours_of("ab"), seeds=False).lines) == 2


def test_training_is_dashed_where_there_is_validation_too() -> None:
    curves = [curve("a", "a", 1.0, split=TRAIN), curve("a", "a", 2.0)]
    assert [line.dashed for line in chart_of("Loss", "", curves, {"a": 0}).lines] == [True, False]
    assert [line.dashed for line in chart_of("Loss", "", curves[:1], {"a": 0}).lines] == [False]


def test_the_axis_is_logarithmic_by_itself_where_the_values_span_decades() -> None:
    for values, unit, log in (((1.0, 31.0), "", True), ((1.0, 29.0), "", False), ((0.01, 0.9), "share", False)):
        assert chart_of("M", unit, [curve("a", "a", *values)], {"a": 0}).log is log
    assert not chart_of("M", "", [curve("a", "a", -1.0, 100.0)], {"a": 0}).log
    assert not chart_of("M", "", [curve("a", "a", math.nan)], {"a": 0}).log


def test_a_seed_that_is_not_finite_breaks_the_mean_and_not_the_area() -> None:
    chart = chart_of("Loss", "", [curve("a1", "a", math.nan, 1.0), curve("a2", "a", 2.0, 3.0)], {"a": 0})
    mean = chart.lines[-1]
    assert mean.band == ([2, 1], [2, 3])
    assert math.isnan(mean.y[0]) and mean.y[1] == 2


def test_a_long_curve_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).normal(size=10_007)
    (line,) = chart_of("Loss", "", [curve("a", "a", *values)], {"a": 0}).lines
    assert len(line.x) <= 150 and line.band is not None
    assert (min(line.band[0]), max(line.band[1])) == (values.min(), values.max())
    first = -(-10_007 // 150)
    assert line.y[0] == pytest.approx(values[:first].mean()) and line.x[0] == pytest.approx((1 + first) / 2)


def test_batches_are_behind_the_epochs() -> None:
    batches = BoundedSeries()
    batches.extend(np.array([0.5, 1.0, 1.5, 2.0]), np.array([4.0, 3.0, 2.0, 1.0]))
    run = RunCurve("a", "a", TRAIN, {1: 3.5, 2: 1.5}, batches)
    behind, line = chart_of("Loss", "", [run], {"a": 0}).lines
    assert (behind.thin, list(behind.x), list(behind.y)) == (True, [0.5, 1.0, 1.5, 2.0], [4, 3, 2, 1])
    assert (line.thin, list(line.y)) == (False, [3.5, 1.5])


def test_the_description_has_the_last_values() -> None:
    chart = chart_of("Loss", "", [curve("a", "a", 1.0, 0.25), RunCurve("b", "b", VALID, {})], {"a": 0, "b": 1})
    assert chart.description == ("Loss after each epoch. a, valid: 0.25 in epoch 2; b, valid: no epoch is finished")
