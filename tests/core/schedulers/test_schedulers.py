"""Schedules are functions of the update: their formulas, worked out by hand, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_experiment as toy

from multilearn.errors import ConfigurationError
from multilearn.events import Stepped
from multilearn.protocols import LRScheduler
from multilearn.schedulers import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    Noam,
    OneCycle,
    Piecewise,
    Polynomial,
    Spanning,
    Step,
)

SCHEDULES = [
    Constant(0.1),
    Linear(1.0, 0.2, updates=4),
    Cosine(1.0, updates=4),
    Cosine(1.0, period=2, multiplier=3),
    Exponential(1.0, 0.5, every=3),
    Step(1.0, every=2),
    Piecewise((0.1, 0.01), (3,)),
    Polynomial(1.0, 0.1, 2, 5),
    Noam(16, 3),
    OneCycle(1.0, updates=6),
]


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


def test_a_cosine_with_warm_restarts_begins_anew_after_periods_that_grow() -> None:
    # periods 1, 3, 9 from updates 0, 1, 4 to 13; cos(60 degrees) = 1/2
    rates = [Cosine(1.0, period=1, multiplier=3).learning_rate(update) for update in (0, 1, 2, 3, 4, 7, 10, 13)]
    assert rates == pytest.approx([1.0, 1.0, 0.75, 0.25, 1.0, 0.75, 0.25, 1.0], abs=1e-15)


@given(period=st.integers(1, 50), multiplier=st.integers(1, 4), update=st.integers(0, 10**6))
def test_restarts_are_a_cosine_within_each_period(period: int, multiplier: int, update: int) -> None:
    start, length = 0, period
    if multiplier == 1:
        start = update // period * period
    while start + length <= update:
        start, length = start + length, length * multiplier
    alone = Cosine(0.5, updates=length, minimum=0.1)
    restarting = Cosine(0.5, minimum=0.1, period=period, multiplier=multiplier)
    assert restarting.learning_rate(update) == alone.learning_rate(update - start)
    assert restarting.spanning(7) == restarting


def test_an_exponential_schedule_is_multiplied_by_gamma_in_every_so_many_updates() -> None:
    assert [Exponential(0.8, 0.5).learning_rate(update) for update in range(4)] == [0.8, 0.4, 0.2, 0.1]
    slow = [Exponential(0.8, 0.0625, every=4).learning_rate(update) for update in range(5)]
    assert slow == pytest.approx([0.8, 0.4, 0.2, 0.1, 0.05], rel=1e-15)
    assert Exponential(0.8, 1).learning_rate(10**9) == 0.8
    assert Exponential(0.8, 0.5).learning_rate(10**9) == 0.0


def test_a_step_schedule_falls_at_each_multiple() -> None:
    rates = [Step(0.8, every=3, gamma=0.5).learning_rate(update) for update in range(8)]
    assert rates == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]
    assert Step(0.8, every=3).learning_rate(3) == pytest.approx(0.08, rel=1e-15)


def test_a_piecewise_schedule_changes_at_its_boundaries() -> None:
    rates = [Piecewise([1, 0.5, 0.7], [2, 5]).learning_rate(update) for update in range(7)]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.7, 0.7]
    assert Piecewise([0.3], []).learning_rate(9) == 0.3


def test_a_polynomial_schedule_has_the_values_of_its_formula() -> None:
    rates = [Polynomial(1.0, 0.5, power=3, updates=2).learning_rate(update) for update in range(4)]
    assert rates == [1.0, 0.5625, 0.5, 0.5]
    roots = [Polynomial(1.0, power=0.5, updates=4).learning_rate(update) for update in (0, 3, 4)]
    assert roots == [1.0, 0.5, 0.0]
    for update in range(6):
        line = Linear(0.75, 0.25, updates=4).learning_rate(update)
        assert Polynomial(0.75, 0.25, updates=4).learning_rate(update) == line


def test_noam_rises_until_its_warm_up_is_over_and_falls_with_the_root() -> None:
    # 512 ** -0.5 * 4000 ** -0.5, the peak of the paper's schedule, is 0.000698771...
    paper = Noam(512)
    assert paper.learning_rate(3999) == pytest.approx(6.98771242968684e-4, rel=1e-14)
    assert paper.learning_rate(0) == pytest.approx(6.98771242968684e-4 / 4000, rel=1e-14)
    assert paper.learning_rate(15999) == pytest.approx(6.98771242968684e-4 / 2, rel=1e-14)
    assert Noam(512, factor=2).learning_rate(9) == 2 * paper.learning_rate(9)


def test_one_cycle_goes_up_and_down_between_its_points() -> None:
    # n = 20: 1/4 at update 0, 1 at 0.3 * 20 - 1 = 5, 1/40 at 19
    linear = OneCycle(1.0, 20, divisor=4, final_divisor=10, annealing="linear")
    rates = [linear.learning_rate(update) for update in (0, 5, 19, 20, 99)]
    assert rates == pytest.approx([0.25, 1.0, 0.025, 0.025, 0.025], rel=1e-14)
    assert linear.learning_rate(1) == pytest.approx(0.4, rel=1e-15)
    assert linear.learning_rate(12) == pytest.approx((1 + 0.025) / 2, rel=1e-15)
    cosine = OneCycle(1.0, 20, divisor=4, final_divisor=10)
    assert cosine.learning_rate(12) == pytest.approx((1 + 0.025) / 2, rel=1e-15)
    # a third and two thirds of half a cosine: cos(60 degrees) = 1/2
    assert OneCycle(1.0, 10, 0.4, 4).learning_rate(1) == pytest.approx(0.25 + 0.75 * 0.25, rel=1e-15)
    phases = OneCycle(1.0, 21, 1 / 3, 4, 10, "linear", three_phases=True)
    assert [phases.learning_rate(update) for update in (0, 6, 12, 20)] == pytest.approx([0.25, 1.0, 0.25, 0.025])
    assert phases.learning_rate(3) == phases.learning_rate(9) == pytest.approx(0.625, rel=1e-15)


@given(updates=st.integers(1, 40), warmup=st.floats(0.01, 0.99), cosine=st.booleans())
def test_one_cycle_stays_between_its_last_rate_and_its_highest_whatever_its_length(
    updates: int, warmup: float, cosine: bool
) -> None:
    cycle = OneCycle(1.0, updates, warmup, 10, 100, "cosine" if cosine else "linear")
    rates = [cycle.learning_rate(update) for update in range(updates + 3)]
    assert all(0.001 - 1e-12 <= rate <= 1 + 1e-12 for rate in rates)
    assert rates[-4:] == pytest.approx([rates[-4], 0.001, 0.001, 0.001])


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
    assert eval(repr(schedule)) == schedule
    assert hash(eval(repr(schedule))) == hash(schedule)
    with pytest.raises(AttributeError):
        schedule.updates = 9


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [(Linear(1.0), 0.5), (Cosine(1.0), 0.5), (Polynomial(1.0, power=2), 0.25), (OneCycle(1.0, warmup=0.625), 1.0)],
    ids=repr,
)
def test_a_schedule_without_a_horizon_has_no_rate_until_it_spans_something(schedule: Any, rate: float) -> None:
    assert isinstance(schedule, Spanning)
    with pytest.raises(ConfigurationError, match="Give updates"):
        schedule.learning_rate(0)
    spanned = schedule.spanning(8)
    assert spanned.learning_rate(4) == pytest.approx(rate)
    assert schedule.horizon is None


RATES = {
    "constant": Constant,
    "linear initial": Linear,
    "linear final": lambda rate: Linear(1.0, rate),
    "cosine initial": Cosine,
    "cosine minimum": lambda rate: Cosine(1.0, minimum=rate),
    "exponential": lambda rate: Exponential(rate, 0.5),
    "step": lambda rate: Step(rate, 10),
    "piecewise": lambda rate: Piecewise((0.1, rate), (10,)),
    "polynomial initial": Polynomial,
    "polynomial final": lambda rate: Polynomial(0.1, rate),
    "one cycle": OneCycle,
}


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, True, "0.1", None, 1j, 10**400])
@pytest.mark.parametrize("make", RATES.values(), ids=RATES)
def test_what_is_no_rate_is_refused(make: Any, rate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a finite number, 0 or more\. Received: "):
        make(rate)


@pytest.mark.parametrize("updates", [0, -1, 1.5, True, "9"])
@pytest.mark.parametrize("kind", [Linear, Cosine, Polynomial, OneCycle])
def test_what_is_no_horizon_is_refused(kind: Any, updates: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        kind(0.1, updates=updates)
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        kind(0.1).spanning(updates)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Exponential(0.1, 0.0),
        lambda: Exponential(0.1, 1.01),
        lambda: Exponential(0.1, 0.5, every=0),
        lambda: Step(0.1, 0),
        lambda: Step(0.1, 10, gamma=2),
        lambda: Piecewise((0.1, 0.2), ()),
        lambda: Piecewise((0.1,), (3,)),
        lambda: Piecewise((), ()),
        lambda: Piecewise((0.1, 0.2, 0.3), (3, 3)),
        lambda: Piecewise((0.1, 0.2, 0.3), (3, 2)),
        lambda: Piecewise((0.1, 0.2), (0,)),
        lambda: Piecewise("12", (3,)),
        lambda: Polynomial(0.1, power=0),
        lambda: Polynomial(0.1, power=math.inf),
        lambda: Noam(0),
        lambda: Noam(512, warmup=0),
        lambda: Noam(512, factor=0),
        lambda: Noam(512, factor=math.inf),
        lambda: OneCycle(0.1, warmup=0.0),
        lambda: OneCycle(0.1, warmup=1),
        lambda: OneCycle(0.1, divisor=0),
        lambda: OneCycle(0.1, final_divisor=math.nan),
        lambda: OneCycle(0.1, annealing="cos"),
        lambda: OneCycle(0.1, three_phases=1),
        lambda: OneCycle(0.1, warmup=0.5, three_phases=True),
        lambda: Cosine(0.1, updates=10, period=5),
        lambda: Cosine(0.1, multiplier=2),
        lambda: Cosine(0.1, period=0),
        lambda: Cosine(0.1, period=5, multiplier=0),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Received: .*\. [A-Z]"):
        make()


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
    # an update closes what is left of an epoch after its last step
    assert steps[-1].update == updates - (5 % accumulation > 0)


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


def test_a_number_is_a_constant_rate(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    toy.builder(tmp_path / "run", 1).metric_loggers(recorded).build(toy.task(), None, 0.25).fit(toy.train_loader())
    assert {step.learning_rate for step in recorded.of(Stepped)} == {0.25}
