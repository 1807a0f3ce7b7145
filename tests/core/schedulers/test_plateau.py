"""A rate that falls where the training does not get better: torch's algorithm in plain Python, and real runs."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy

from multilearn import Interrupter
from multilearn.errors import ConfigurationError, RecordError
from multilearn.events import Split, Stepped
from multilearn.history import History
from multilearn.schedulers import Observing, ReduceOnPlateau, Warmup


def rates(schedule: ReduceOnPlateau, values: list[float]) -> list[float]:
    """The rate after each epoch, as a run tells them."""
    history, found = History(), []
    for epoch, value in enumerate(values, start=1):
        history = history.with_epoch(Split(schedule.split), epoch, {schedule.metric: value})
        schedule.observe(epoch, history)
        found.append(schedule.learning_rate(epoch * 10))
    return found


@pytest.mark.parametrize(
    ("schedule", "values", "expected"),
    [
        # the third epoch without improvement reduces, then it takes three more
        (ReduceOnPlateau(1.0, factor=0.5, patience=2), [1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=2), [5, 6, 7, 4, 6, 7, 8], [1, 1, 1, 1, 1, 1, 0.5]),
        # two epochs of rest after a reduction
        (ReduceOnPlateau(1.0, factor=0.5, patience=0, cooldown=2), [1, 1, 1, 1, 1], [1, 0.5, 0.5, 0.5, 0.25]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=0, minimum=0.3), [1, 1, 1, 1], [1, 0.5, 0.3, 0.3]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=0, min_delta=0.5), [2, 1.5, 1, 0.5], [1, 0.5, 0.5, 0.25]),
        (ReduceOnPlateau(1.0, "Accuracy", "train", "highest", 0.5, 0), [0.5, 0.6, 0.6, 0.7], [1, 1, 0.5, 0.5]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=0), [2, math.nan, 1, math.nan], [1, 0.5, 0.5, 0.25]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=1), [math.nan, math.nan, 3], [1, 0.5, 0.5]),
        (ReduceOnPlateau(1.0, factor=0.5, patience=0), [-math.inf, -math.inf], [1, 0.5]),
    ],
)
def test_a_plateau_on_tables(schedule: ReduceOnPlateau, values: list[float], expected: list[float]) -> None:
    assert rates(schedule, values) == expected


def torch_rates(
    values: list[float], mode: str, factor: float, patience: int, threshold: float, cooldown: int, minimum: float
) -> list[float]:
    """`torch.optim.lr_scheduler.ReduceLROnPlateau(..., threshold_mode="abs", eps=0)`, as it is written."""
    lr, bad_epochs, resting, found = 1.0, 0, 0, []
    best = math.inf if mode == "min" else -math.inf
    for value in values:
        if value < best - threshold if mode == "min" else value > best + threshold:
            best, bad_epochs = value, 0
        else:
            bad_epochs += 1
        if resting > 0:
            resting, bad_epochs = resting - 1, 0
        if bad_epochs > patience:
            lr = max(lr * factor, minimum)
            resting, bad_epochs = cooldown, 0
        found.append(lr)
    return found


numbers = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0]), st.floats(-3, 3, width=16))


@given(
    st.lists(numbers, min_size=1, max_size=40),
    st.sampled_from(["lowest", "highest"]),
    st.sampled_from([0.1, 0.5, 0.9]),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.25]),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.2]),
)
def test_a_plateau_reduces_as_torch_does(
    values: list[float],
    direction: Any,
    factor: float,
    patience: int,
    min_delta: float,
    cooldown: int,
    minimum: float,
) -> None:
    schedule = ReduceOnPlateau(
        1.0,
        direction=direction,
        factor=factor,
        patience=patience,
        min_delta=min_delta,
        cooldown=cooldown,
        minimum=minimum,
    )
    mode = {"lowest": "min", "highest": "max"}[direction]
    assert rates(schedule, values) == torch_rates(values, mode, factor, patience, min_delta, cooldown, minimum)


@settings(max_examples=50)
@given(st.lists(numbers, min_size=2, max_size=20), st.data())
def test_a_restored_plateau_goes_on_identically(values: list[float], data: Any) -> None:
    described = ReduceOnPlateau(1.0, factor=0.5, patience=1, cooldown=1)
    whole, first = copy.deepcopy(described), copy.deepcopy(described)
    expected, cut = rates(whole, values), data.draw(st.integers(1, len(values) - 1))
    rates(first, values[:cut])
    second = copy.deepcopy(described)
    second.restore(first.state())
    assert second.learning_rate(0) == expected[cut - 1]
    assert rates(second, values)[cut:] == expected[cut:]
    assert described.learning_rate(0) == 1.0


PLATEAU = ReduceOnPlateau(0.01, factor=0.5, patience=0, min_delta=1000.0)
"""No epoch but the first is ever better by so much."""


def run(directory: Path, epochs: int, schedule: Any, recorded: toy.Recorded, **options: Any) -> Any:
    described = toy.builder(directory, epochs).metric_loggers(recorded).checkpoint("latest")
    if options:
        described = described.with_interrupter(options["interrupter"])
    learner = described.build(toy.task(dropout=0.0), None, schedule)
    learner.fit(options.get("train", toy.train_loader()), toy.valid_loader())
    return learner


def test_a_plateau_that_cannot_be_computed_is_refused() -> None:
    with pytest.raises(RecordError, match="at most 1000000 times"):
        ReduceOnPlateau(0.1).restore({"reductions": 10**12})


def test_a_restored_plateau_takes_its_parameters_from_the_code() -> None:
    before = ReduceOnPlateau(0.1, factor=0.5, patience=0)
    before.observe(2, History.from_state({"valid": {"Loss": [(1, 0.7), (2, 0.8)]}}))
    after = ReduceOnPlateau(0.04, factor=0.25, patience=0)
    after.restore(before.state())
    assert after.learning_rate(0) == 0.01


def test_a_run_lowers_its_rate_and_one_that_is_resumed_anywhere_has_the_same_rates(tmp_path: Path) -> None:
    schedule = Warmup(PLATEAU, 3)
    whole, parts = toy.Recorded(), toy.Recorded()
    run(tmp_path / "whole", 4, schedule, whole)
    expected = [step.learning_rate for step in whole.of(Stepped) if step.split is Split.TRAIN]
    # the first three updates rise; the end of epoch 2 is the first without an improvement
    assert expected[3:10] == [0.01] * 7
    assert expected[10:] == [0.005] * 5 + [0.0025] * 5

    run(tmp_path / "parts", 2, schedule, parts)
    interrupter = Interrupter()
    stopping = toy.Watched(toy.train_loader(), lambda epoch, number: number == 2 and interrupter.stop("enough"))
    run(tmp_path / "parts", 4, schedule, parts, interrupter=interrupter, train=stopping)
    run(tmp_path / "parts", 4, schedule, parts)
    steps = [step for step in parts.of(Stepped) if step.split is Split.TRAIN]
    assert len({(step.epoch, step.batch) for step in steps}) == len(steps) == 20
    assert [step.learning_rate for step in steps] == expected


def test_what_one_learner_saw_is_nothing_to_another(tmp_path: Path) -> None:
    for name in ("one", "two"):
        recorded = toy.Recorded()
        run(tmp_path / name, 3, PLATEAU, recorded)
        found = [step.learning_rate for step in recorded.of(Stepped) if step.split is Split.TRAIN]
        assert found == [0.01] * 10 + [0.005] * 5
    assert PLATEAU.learning_rate(0) == 0.01


def test_a_plateau_of_what_is_not_measured_is_refused_with_nothing_on_disk(tmp_path: Path) -> None:
    for schedule in (ReduceOnPlateau(0.1, "Acuracy"), Warmup(ReduceOnPlateau(0.1, "Perplexity"), 3)):
        with pytest.raises(ConfigurationError, match=r"ReduceOnPlateau watches.*Accuracy.*Register it"):
            toy.builder(tmp_path / "run").build(toy.task(), None, schedule)
    learner = toy.builder(tmp_path / "run").build(toy.task(), None, ReduceOnPlateau(0.1))
    with pytest.raises(ConfigurationError, match=r"ReduceOnPlateau watches Loss of valid.*validation loader"):
        learner.fit(toy.train_loader())
    assert not (tmp_path / "run").exists()


def test_a_plateau_is_a_value_that_can_be_written_down() -> None:
    schedule = ReduceOnPlateau(0.1, "Accuracy", Split.TRAIN, "highest", 0.5, 3, 0.01, 2, 1e-5)
    assert eval(repr(schedule)) == schedule
    assert isinstance(schedule, Observing)
    rates(schedule, [0.1, 0.1, 0.1, 0.1, 0.1])
    assert schedule == eval(repr(schedule))
    assert schedule.learning_rate(0) == 0.05
    with pytest.raises(AttributeError):
        schedule.factor = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    "options",
    [
        {"initial": -1},
        {"metric": ""},
        {"split": "dev"},
        {"direction": "min"},
        {"factor": 0},
        {"factor": 1},
        {"patience": -1},
        {"min_delta": -0.1},
        {"cooldown": -1},
        {"minimum": -1},
        {"minimum": 0.2},
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_with_what_was_received(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"Received: .*\. [A-Z]"):
        ReduceOnPlateau(**{"initial": 0.1, **options})
