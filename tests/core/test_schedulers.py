"""Schedules are functions of the update: their formulas, worked out by hand, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import toy_experiment as toy
from hypothesis import given
from hypothesis import strategies as st

from multilearn.errors import ConfigurationError
from multilearn.events import Stepped
from multilearn.protocols import LRScheduler
from multilearn.schedulers import Constant, Cosine, Linear, Spanning

SCHEDULES = [Constant(0.1), Linear(1.0, 0.2, updates=4), Cosine(1.0, updates=4)]


def test_a_constant_rate_is_the_same_at_every_update() -> None:
    assert [Constant(0.3).learning_rate(update) for update in (0, 1, 10**9)] == [0.3] * 3


def test_a_linear_schedule_falls_in_equal_steps_and_stays() -> None:
    rates = [Linear(0.8, 0.4, updates=4).learning_rate(update) for update in range(7)]
    assert rates == pytest.approx([0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4], rel=1e-15)


def test_a_linear_schedule_may_rise() -> None:
    rates = [Linear(0.0, 1.0, updates=2).learning_rate(update) for update in range(4)]
    assert rates == [0.0, 0.5, 1.0, 1.0]


def test_a_cosine_schedule_has_the_values_of_its_formula() -> None:
    # cos(60 degrees) = 1/2, cos(90) = 0, cos(120) = -1/2
    rates = [Cosine(1.0, updates=6).learning_rate(update) for update in (0, 2, 3, 4, 6)]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-15)
    assert Cosine(1.0, updates=4).learning_rate(1) == pytest.approx((2 + math.sqrt(2)) / 4, rel=1e-15)


def test_a_cosine_schedule_ends_exactly_at_its_minimum() -> None:
    schedule = Cosine(0.5, updates=3, minimum=0.1)
    assert schedule.learning_rate(0) == 0.5
    assert [schedule.learning_rate(update) for update in (3, 4, 1000)] == [0.1] * 3


@given(high=st.floats(0.0, 10.0), low=st.floats(0.0, 10.0), updates=st.integers(1, 10**6), update=st.integers(0, 10**7))
def test_a_rate_never_leaves_the_range_between_its_ends(high: float, low: float, updates: int, update: int) -> None:
    low, high = sorted((low, high))
    for schedule in (Linear(high, low, updates), Linear(low, high, updates), Cosine(high, updates, low)):
        assert low - 1e-12 <= schedule.learning_rate(update) <= high + 1e-12


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_values_without_a_state(schedule: Any) -> None:
    assert isinstance(schedule, LRScheduler)
    before = [schedule.learning_rate(update) for update in range(6)]
    assert schedule.state() == {}
    schedule.restore({})
    assert [schedule.learning_rate(update) for update in range(6)] == before
    with pytest.raises(AttributeError):
        schedule.updates = 9


@pytest.mark.parametrize(("schedule", "rate"), [(Linear(1.0), 0.5), (Cosine(1.0), 0.5)], ids=repr)
def test_a_schedule_without_a_horizon_has_no_rate_until_it_spans_something(schedule: Any, rate: float) -> None:
    assert isinstance(schedule, Spanning)
    with pytest.raises(ConfigurationError, match="Give updates"):
        schedule.learning_rate(0)
    spanned = schedule.spanning(8)
    assert spanned.learning_rate(4) == pytest.approx(rate)
    assert schedule.updates is None


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, True, "0.1", None, 1j])
@pytest.mark.parametrize(
    "make",
    [Constant, Linear, lambda rate: Linear(1.0, rate), Cosine, lambda rate: Cosine(1.0, minimum=rate)],
    ids=["constant", "linear initial", "linear final", "cosine initial", "cosine minimum"],
)
def test_what_is_no_rate_is_refused(make: Any, rate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a finite number, 0 or more\. Received: "):
        make(rate)


@pytest.mark.parametrize("updates", [0, -1, 1.5, True, "9"])
@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_what_is_no_horizon_is_refused(kind: Any, updates: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        kind(0.1, updates=updates)
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        kind(0.1).spanning(updates)


def test_a_cosine_that_would_rise_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="minimum must not be above initial"):
        Cosine(0.1, minimum=0.2)


@pytest.mark.parametrize(("accumulation", "updates"), [(1, 15), (2, 9), (5, 3), (7, 3)])
def test_a_schedule_without_a_horizon_spans_the_updates_of_the_run(
    tmp_path: Path, accumulation: int, updates: int
) -> None:
    recorded = toy.Recorded()
    described = toy.builder(tmp_path / "run", 3).grads_accumulation(accumulation).metric_loggers(recorded)
    described.build(toy.task(), None, Linear(1.0, 0.0)).fit(toy.train_loader())
    steps = recorded.of(Stepped)
    # five batches in each of three epochs; what is left of an epoch is an update of its own
    per_epoch = [number // accumulation for number in range(5)]
    expected = [1 - (epoch * (updates // 3) + window) / updates for epoch in range(3) for window in per_epoch]
    assert [step.learning_rate for step in steps] == pytest.approx(expected, rel=1e-12)
    assert steps[-1].update == updates


def test_a_horizon_that_was_given_is_kept(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    described = toy.builder(tmp_path / "run", 1).metric_loggers(recorded)
    described.build(toy.task(), None, Linear(1.0, 0.0, updates=2)).fit(toy.train_loader())
    assert [step.learning_rate for step in recorded.of(Stepped)] == [1.0, 0.5, 0.0, 0.0, 0.0]


def test_a_schedule_over_a_loader_without_a_length_needs_a_horizon(tmp_path: Path) -> None:
    class Endless:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            return toy.train_loader().iterate(seed, epoch, start)

    learner = toy.builder(tmp_path / "run").build(toy.task(), None, Cosine(0.1))
    with pytest.raises(ConfigurationError, match="Give the scheduler its horizon"):
        learner.fit(Endless())
    assert not (tmp_path / "run").exists()
    toy.builder(tmp_path / "run").build(toy.task(), None, Cosine(0.1, updates=9)).fit(Endless())


def test_a_schedulers_state_goes_into_the_checkpoint_and_comes_back(tmp_path: Path) -> None:
    class Halving:
        """Halves its rate whenever it is asked: what it did counts, not what it was asked for."""

        def __init__(self) -> None:
            self.rate = 1.0

        def learning_rate(self, update: int) -> float:
            self.rate /= 2
            return self.rate

        def state(self) -> dict[str, Any]:
            return {"rate": self.rate}

        def restore(self, state: dict[str, Any]) -> None:
            self.rate = state["rate"]

    recorded = toy.Recorded()
    for epochs in (1, 2):
        described = toy.builder(tmp_path / "run", epochs).metric_loggers(recorded).checkpoint("latest")
        described.build(toy.task(), None, Halving()).fit(toy.train_loader())
    assert [step.learning_rate for step in recorded.of(Stepped)] == [0.5**n for n in range(1, 11)]


def test_a_number_is_a_constant_rate(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    toy.builder(tmp_path / "run", 1).metric_loggers(recorded).build(toy.task(), None, 0.25).fit(toy.train_loader())
    assert {step.learning_rate for step in recorded.of(Stepped)} == {0.25}
