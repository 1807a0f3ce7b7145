"""Schedules that consist of others: where each part is asked, what it spans, and what is passed on to it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy

from multilearn.errors import ConfigurationError
from multilearn.events import Split, Stepped
from multilearn.history import History, Monitor, watched_by
from multilearn.protocols import LRScheduler
from multilearn.schedulers import (
    Composed,
    Constant,
    Cosine,
    Exponential,
    Linear,
    Observing,
    OneCycle,
    Polynomial,
    ReduceOnPlateau,
    Sequential,
    Spanning,
    Warmup,
)


def rates(schedule: LRScheduler, updates: int) -> list[float]:
    return [schedule.learning_rate(update) for update in range(updates)]


def worse(epochs: int) -> History:
    """A validation loss that rises."""
    found = History()
    for epoch in range(1, epochs + 1):
        found = found.with_epoch(Split.VALID, epoch, {"Loss": float(epoch)})
    return found


class Counting:
    """One of a user's own that remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def learning_rate(self, update: int) -> float:
        self.asked += 1
        return self.asked / 4

    def state(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def restore(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


def test_a_warm_up_is_a_line_to_where_the_schedule_begins() -> None:
    line = rates(Warmup(Linear(0.75, 0.25, updates=2), 3), 7)
    assert line == [0.0, 0.25, 0.5, 0.75, 0.5, 0.25, 0.25]
    assert rates(Warmup(1.0, 2, initial=0.5), 4) == [0.5, 0.75, 1.0, 1.0]
    assert rates(Warmup(0.25, 1), 3) == [0.0, 0.25, 0.25]


def test_each_schedule_of_a_sequence_counts_from_its_own_beginning() -> None:
    schedule = Sequential((Exponential(0.5, 0.5), 2), (Linear(1.0, 0.0, updates=2), 3), (Exponential(8, 0.5), 1))
    assert rates(schedule, 8) == [0.5, 0.25, 1.0, 0.5, 0.0, 8.0, 4.0, 2.0]


def test_the_last_of_a_sequence_may_stand_without_a_number_of_updates() -> None:
    assert Sequential((0.5, 2), Exponential(1, 0.5)) == Sequential((0.5, 2), (Exponential(1, 0.5), None))
    assert rates(Sequential(Exponential(1, 0.5)), 3) == [1.0, 0.5, 0.25]


def test_schedules_are_multiplied_added_and_averaged() -> None:
    parts = Linear(1.0, 0.0, updates=4), 0.5, Exponential(1.0, 0.5)
    assert rates(Composed(*parts), 3) == [0.5, 0.75 * 0.5 * 0.5, 0.5 * 0.5 * 0.25]
    assert rates(Composed(*parts, reduction="product"), 2) == [0.5, 0.1875]
    assert rates(Composed(*parts, reduction="sum"), 3) == [2.5, 1.75, 1.25]
    assert rates(Composed(*parts, reduction="mean"), 2) == pytest.approx([2.5 / 3, 1.75 / 3], rel=1e-15)
    assert rates(Composed(Cosine(0.5, 3)), 4) == rates(Cosine(0.5, 3), 4)


@settings(max_examples=30)
@given(warmup=st.integers(1, 20), rest=st.integers(1, 40))
def test_what_has_no_horizon_gets_what_is_left_of_the_run(warmup: int, rest: int) -> None:
    for part in (Linear(1.0), Cosine(1.0), Polynomial(1.0, power=2), OneCycle(1.0)):
        spanned = part.spanning(rest)
        for schedule in (Warmup(part, warmup), Sequential((0.1, warmup), part)):
            assert schedule.horizon is None
            over = schedule.spanning(warmup + rest)
            assert over.horizon == warmup + rest
            assert [over.learning_rate(warmup + update) for update in range(rest + 2)] == rates(spanned, rest + 2)
            # what it was made from is as before, and what has a horizon keeps it
            assert schedule.horizon is None
            assert over.spanning(1000) == over


def test_every_part_of_a_composition_spans_the_whole_run_unless_it_has_a_horizon() -> None:
    over = Composed(Linear(1.0), Linear(1.0, updates=2), 0.5, reduction="sum").spanning(4)
    assert over == Composed(Linear(1.0, updates=4), Linear(1.0, updates=2), Constant(0.5), reduction="sum")
    assert rates(over, 5) == [2.5, 1.75, 1.0, 0.75, 0.5]
    assert over.horizon == 4


def test_a_place_in_a_sequence_is_a_horizon() -> None:
    schedule = Sequential((Linear(1.0), 2), (Cosine(1.0, updates=100), 50), (Warmup(Linear(1.0), 2), 4))
    assert schedule.horizon == 56
    assert schedule.stages[0][0] == Linear(1.0, updates=2)
    assert schedule.stages[1][0] == Cosine(1.0, updates=100)
    assert schedule.stages[2][0] == Warmup(Linear(1.0, updates=2), 2)


def test_spanning_reaches_every_depth() -> None:
    schedule = Sequential((0.1, 5), Composed(Warmup(Linear(1.0), 5), Cosine(1.0), 0.5))
    inner = Composed(Warmup(Linear(1.0, updates=10), 5), Cosine(1.0, updates=15), 0.5)
    assert schedule.spanning(20) == Sequential((0.1, 5), inner)


@pytest.mark.parametrize(
    "schedule",
    [Warmup(0.1, 3), Composed(0.1, Exponential(1, 0.5)), Sequential((0.1, 3), 0.2), Cosine(0.1, period=3)],
    ids=repr,
)
def test_what_needs_no_horizon_trains_with_a_loader_of_unknown_length(schedule: Any, tmp_path: Path) -> None:
    class Endless:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            return toy.train_loader().iterate(seed, epoch, start)

    assert isinstance(schedule, Spanning)
    assert schedule.horizon is not None
    recorded = toy.Recorded()
    learner = toy.builder(tmp_path / "run", 1).metric_loggers(recorded).build(toy.task(), None, schedule)
    learner.fit(Endless())
    assert [step.learning_rate for step in recorded.of(Stepped)] == rates(schedule, toy.BATCHES)


def test_a_warm_up_and_what_follows_span_the_run(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    described = toy.builder(tmp_path / "run", 2).metric_loggers(recorded)
    described.build(toy.task(), None, Warmup(Linear(1.0), 2)).fit(toy.train_loader())
    expected = [0.0, 0.5, *(1 - done / 8 for done in range(8))]
    assert [step.learning_rate for step in recorded.of(Stepped)] == expected


@pytest.mark.parametrize("schedule", [Warmup(Cosine(0.1), 10), Sequential((0.1, 12), Cosine(0.1))], ids=repr)
def test_a_warm_up_that_leaves_nothing_of_the_run_is_refused_before_anything_is_written(
    schedule: Any, tmp_path: Path
) -> None:
    learner = toy.builder(tmp_path / "run", 2).build(toy.task(), None, schedule)
    with pytest.raises(ConfigurationError, match=r"must leave updates of the run.*a run of 10"):
        learner.fit(toy.train_loader())
    assert not (tmp_path / "run").exists()


def nested() -> Composed:
    """With a plateau in each kind of composition."""
    plateau = ReduceOnPlateau(1.0, factor=0.5, patience=0)
    return Composed(
        Warmup(plateau, 2), Sequential((0.5, 1), ReduceOnPlateau(1.0, factor=0.25, patience=0)), reduction="sum"
    )


def test_how_the_training_goes_is_told_to_every_part() -> None:
    schedule = nested()
    assert isinstance(schedule, Observing)
    schedule.observe(3, worse(3))
    # epochs 2 and 3 were worse: a quarter and a sixteenth
    assert [schedule.learning_rate(update) for update in (0, 1, 9)] == [0.5, 0.0625 + 0.125, 0.25 + 0.0625]


def test_the_state_of_a_composition_is_that_of_its_parts() -> None:
    schedule = nested()
    schedule.observe(3, worse(3))
    fresh = nested()
    fresh.restore(schedule.state())
    assert rates(fresh, 4) == rates(schedule, 4) != rates(nested(), 4)
    assert fresh == schedule == nested()


def test_a_copy_of_a_composition_shares_no_memory_with_it() -> None:
    schedule = nested()
    copied = copy.deepcopy(schedule)
    copied.observe(3, worse(3))
    assert rates(schedule, 3) == rates(nested(), 3)


def test_a_part_of_ones_own_is_saved_and_restored() -> None:
    schedule = Sequential((0.5, 1), Counting())
    assert rates(schedule, 4) == [0.5, 0.25, 0.5, 0.75]
    fresh = Sequential((0.5, 1), Counting())
    fresh.restore(schedule.state())
    assert fresh.learning_rate(4) == 1.0


def test_pure_parts_have_nothing_to_save_and_records_of_other_schedules_do_them_no_harm() -> None:
    for schedule in (Warmup(Cosine(0.1), 3), Sequential((0.1, 2), Linear(0.2)), Composed(0.1, 0.2)):
        assert schedule.state() == {}
        schedule.restore(nested().state())
        schedule.restore({"rate": 0.5})
    plateaus = nested()
    plateaus.restore({})
    assert rates(plateaus, 3) == rates(nested(), 3)


def test_what_a_schedule_watches_is_listed() -> None:
    schedule = Composed(Warmup(ReduceOnPlateau(0.1), 3), 0.5, ReduceOnPlateau(0.1, "Accuracy", "train", "highest"))
    assert list(watched_by(schedule)) == [
        Monitor("Loss", "valid", "lowest"),
        Monitor("Accuracy", "train", "highest"),
    ]
    assert list(watched_by(Counting())) == list(watched_by(Constant(0.1))) == []


COMPOSITIONS = [
    Warmup(Cosine(0.1), 3, 0.01),
    Sequential((Linear(0.0, 0.1), 10), (Cosine(0.1), None)),
    Sequential((0.1, 10), (Cosine(0.1, 5), 5)),
    Composed(Cosine(1.0), 0.1, reduction="mean"),
    Composed(Warmup(ReduceOnPlateau(0.1), 3)),
]


@pytest.mark.parametrize("schedule", COMPOSITIONS, ids=repr)
def test_compositions_are_values_that_can_be_written_down(schedule: Any) -> None:
    assert eval(repr(schedule)) == schedule == copy.deepcopy(schedule)
    assert hash(eval(repr(schedule))) == hash(schedule)
    assert isinstance(schedule, LRScheduler)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Warmup(Cosine, 10),
        lambda: Warmup(None, 10),
        lambda: Warmup(-0.1, 10),
        lambda: Warmup(Cosine(0.1), 0),
        lambda: Warmup(Cosine(0.1), 10, initial=-1),
        lambda: Sequential(),
        lambda: Sequential(Cosine(0.1), Cosine(0.1)),
        lambda: Sequential((Cosine(0.1), None), (Cosine(0.1), 3)),
        lambda: Sequential((Cosine(0.1), 0), (Cosine(0.1), 3)),
        lambda: Sequential((Cosine(0.1), 3, 4)),
        lambda: Sequential((Cosine, 3)),
        lambda: Sequential([(Cosine(0.1), 3), (Cosine(0.1), 3)]),
        lambda: Sequential("cosine"),
        lambda: Composed(),
        lambda: Composed(Cosine),
        lambda: Composed([Cosine(0.1), 0.5]),
        lambda: Composed(Cosine(0.1), 0.5, reduction="max"),
        lambda: Composed("product", Cosine(0.1)),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Received: .*\. [A-Z]"):
        make()
