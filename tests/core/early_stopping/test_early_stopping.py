"""When a run is stopped: tables that others have published, their algorithms in plain Python, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.early_stopping import (
    AllOf,
    FirstOf,
    NoImprovement,
    StoppingRule,
    Threshold,
    TimeLimit,
    asks_for_time,
    time_limit_of,
)
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.history import History, Monitor, watched_by


def history(values: Any, split: Split = Split.VALID, metric: str = "Loss") -> History:
    """Of epochs 1, 2, ...; None is an epoch without a value."""
    found = History()
    for epoch, value in enumerate(values, start=1):
        if value is not None:
            found = found.with_epoch(split, epoch, {metric: value})
    return found


def stopped_after(rule: StoppingRule, values: Any, split: Split = Split.VALID, metric: str = "Loss") -> int | None:
    """The epoch after which the run ends, asked as a run asks; the later ones do not exist yet."""
    for epoch in range(1, len(values) + 1):
        if rule.reason(history(values[:epoch], split, metric), epoch, 0.0) is not None:
            return epoch
    return None


nan, inf = math.nan, math.inf


@pytest.mark.parametrize(
    ("warmup", "epochs", "values", "end"),
    [
        # burn-train's own tests, means of their batches written out
        (0, 1, [0.4, 0.35, 0.3, 0.25], None),
        (0, 2, [0.75, 0.4, 2.0, 1.5], 4),
        (3, 2, [0.75, 0.75, 0.75, 0.75], 4),
        (0, 2, [0.4, 0.4, 0.4], 3),
        # that of Prechelt's patience, by hand
        (0, 3, [5.0, 4.0, 4.5, 4.1, 3.9, 4.0, 3.9, 3.95], 8),
        (0, 1, [1.0, 1.0], 2),
        # what was best in the warm-up has to be beaten; nothing happens before it is over
        (5, 2, [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 6),
        (5, 2, [0.9, 0.8, 0.7, 0.6, 0.5, 0.6, 0.55], 7),
        # NaN and infinity
        (0, 2, [nan, nan, nan], 3),
        (0, 2, [nan, nan, 3.0, 2.0], None),
        (0, 2, [nan, 3.0, nan, 2.0, nan, nan], 6),
        (0, 2, [inf, inf, inf], 3),
        (0, 2, [inf, inf, 5.0, inf, inf], 5),
        (0, 2, [-inf, -5.0, -inf], 3),
        # an epoch without a value counts neither way
        (0, 2, [1.0, None, 1.0, None, 1.0], 5),
        (0, 1, [None, None], None),
    ],
)
def test_no_improvement_on_tables(warmup: int, epochs: int, values: list[Any], end: int | None) -> None:
    assert stopped_after(NoImprovement(epochs=epochs, warmup=warmup), values) == end
    mirrored = [None if value is None else -value for value in values]
    assert stopped_after(NoImprovement(direction="highest", epochs=epochs, warmup=warmup), mirrored) == end


@pytest.mark.parametrize(
    ("min_delta", "values", "end"),
    [
        (0.25, [2.0, 1.75, 1.5, 1.5, 1.25], 5),  # exactly min_delta is not more than it; 1.5 is, measured from 2.0
        (0.25, [2.0, 1.875, 1.75, 1.625], 3),
        (0.25, [2.0, 1.5, 1.0, 0.5, 0.0], None),
        (0.0, [2.0, 1.9999999, 1.9999998], None),
    ],
)
def test_an_improvement_is_by_more_than_min_delta_from_the_last_one(
    min_delta: float, values: list[float], end: int | None
) -> None:
    rule = NoImprovement("Accuracy", "train", "highest", 2, min_delta)
    assert stopped_after(rule, [-value for value in values], Split.TRAIN, "Accuracy") == end
    assert stopped_after(NoImprovement(epochs=2, min_delta=min_delta), values) == end


def keras_stops_after(values: list[float], patience: int, min_delta: float, mode: str) -> int | None:
    """`keras.callbacks.EarlyStopping`, as it is written, without its warm-up."""
    best, wait = None, 0
    for epoch, current in enumerate(values):
        wait += 1
        if best is None or (current + min_delta < best if mode == "min" else current - min_delta > best):
            best, wait = current, 0
        elif wait >= patience and epoch > 0:
            return epoch + 1
    return None


def burn_stops_after(values: list[float], n_epochs: int, warmup: int) -> int | None:
    """burn-train's `MetricEarlyStoppingStrategy`, as it is written, for the lowest value."""
    best_epoch, best_value = 1, math.inf
    for epoch, current in enumerate(values, start=1):
        if current < best_value:
            best_epoch, best_value = epoch, current
        elif epoch > warmup and epoch - best_epoch >= n_epochs:
            return epoch
    return None


numbers = st.one_of(st.sampled_from([nan, inf, -inf, 0.0, -0.0, 1.0, 2.0]), st.floats(-4, 4, width=16))


@given(
    st.lists(numbers, min_size=1, max_size=30),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(["lowest", "highest"]),
)
def test_no_improvement_is_keras_early_stopping_unless_the_first_value_is_nan(
    values: list[float], patience: int, min_delta: float, direction: Any
) -> None:
    if math.isnan(values[0]):
        values = [0.5, *values]
    rule = NoImprovement(direction=direction, epochs=patience, min_delta=min_delta)
    mode = {"lowest": "min", "highest": "max"}[direction]
    assert stopped_after(rule, values) == keras_stops_after(values, patience, min_delta, mode)


@given(st.lists(numbers, min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 12))
def test_no_improvement_is_burn_trains_early_stopping(values: list[float], epochs: int, warmup: int) -> None:
    if math.isnan(values[0]) or values[0] == inf:
        values = [0.5, *values]
    assert stopped_after(NoImprovement(epochs=epochs, warmup=warmup), values) == burn_stops_after(
        values, epochs, warmup
    )


@given(st.lists(numbers, min_size=1, max_size=30), st.integers(1, 4), st.integers(0, 29))
def test_a_rule_asked_by_another_process_says_the_same(values: list[float], epochs: int, cut: int) -> None:
    rule = FirstOf(NoImprovement(epochs=epochs), Threshold(value=-3.0))
    restored = History.from_state({"valid": {"Loss": enumerate(values, start=1)}})
    epoch = min(cut + 1, len(values))
    fresh = FirstOf(NoImprovement(epochs=epochs), Threshold(value=-3.0))
    # also where the history goes on: it is asked about this epoch
    assert fresh.reason(restored, epoch, 0.0) == rule.reason(history(values[:epoch]), epoch, 0.0)


@pytest.mark.parametrize(
    ("direction", "value", "values", "end"),
    [
        ("lowest", 0.5, [0.9, 0.5, 0.1], 2),
        ("lowest", 0.5, [0.9, 0.51, nan, -inf], 4),
        ("lowest", 0.5, [nan, inf], None),
        ("highest", 0.98, [0.97, 0.98, 1.0], 2),
        ("highest", 0.98, [0.97, nan, 0.9799], None),
        ("highest", 0, [-0.5, None, 0.0], 3),
    ],
)
def test_a_threshold_is_reached_at_its_value(direction: Any, value: float, values: list[Any], end: int | None) -> None:
    rule = Threshold("Accuracy", "train", direction, value)
    assert stopped_after(rule, values, Split.TRAIN, "Accuracy") == end
    assert stopped_after(rule, values, Split.VALID, "Accuracy") is None


def test_a_threshold_once_reached_stays_reached_for_what_it_is_combined_with() -> None:
    rule = AllOf(Threshold(value=0.5), NoImprovement(epochs=2))
    assert stopped_after(rule, [0.9, 0.9, 0.9, 0.4, 0.6, 0.7]) == 6


def test_a_time_limit_adds_up_and_is_over_when_it_is_reached() -> None:
    limit = TimeLimit(hours=1, minutes=1, seconds=1)
    assert limit.total == 3661.0
    assert limit.reason(History(), 1, 3660.999) is None
    assert limit.reason(History(), 1, 3661.0) == "the time limit of 3661 s is over: the run took 3661.0 s"


def test_the_first_of_several_rules_stops_the_run_and_gives_its_reason() -> None:
    rule = FirstOf(NoImprovement(epochs=2), Threshold(value=0.1), TimeLimit(5))
    assert stopped_after(rule, [0.5, 0.1]) == 2
    assert stopped_after(rule, [0.5, 0.5, 0.5]) == 3
    assert "reached 0.1 in epoch 2" in str(rule.reason(history([0.5, 0.1]), 2, 0.0))
    assert "time limit of 5 s" in str(rule.reason(history([0.5]), 1, 6.0))


def test_all_of_several_rules_must_say_so_at_once_and_each_gives_its_reason() -> None:
    rule = AllOf(NoImprovement(epochs=1), TimeLimit(5))
    assert rule.reason(history([0.5, 0.5]), 2, 4.0) is None
    assert rule.reason(history([0.5, 0.4]), 2, 6.0) is None
    assert rule.reason(history([0.5, 0.5]), 2, 6.0) == (
        "no improvement of Loss (valid) in 1 epoch: the lowest was 0.5 in epoch 1; "
        "the time limit of 5 s is over: the run took 6.0 s"
    )


def test_a_reason_names_the_metric_the_split_and_the_best_epoch() -> None:
    rule = NoImprovement("Top 5 Accuracy", "train", "highest", epochs=2)
    past = history([0.25, 0.125, nan], Split.TRAIN, "Top 5 Accuracy")
    assert rule.reason(past, 3, 0.0) == (
        "no improvement of Top 5 Accuracy (train) in 2 epochs: the highest was 0.25 in epoch 1"
    )
    assert NoImprovement(epochs=1).reason(history([nan, nan]), 2, 0.0) == (
        "no improvement of Loss (valid) in 1 epoch: none was a number"
    )


class Own:
    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        return "three" if epoch == 3 else None


def test_a_rule_of_ones_own_takes_part() -> None:
    rule = FirstOf(Own(), NoImprovement(epochs=5))
    assert isinstance(Own(), StoppingRule)
    assert stopped_after(rule, [1.0, 1.0, 1.0]) == 3
    assert list(watched_by(Own())) == []
    assert time_limit_of(Own()) is None


def test_what_is_watched_is_listed_at_every_depth() -> None:
    rule = FirstOf(NoImprovement(), AllOf(Threshold("Accuracy", "train", "highest", 0.9), TimeLimit(1)), Own())
    assert list(watched_by(rule)) == [Monitor("Loss", "valid", "lowest"), Monitor("Accuracy", "train", "highest")]


class Later:
    """A composite of a user: another rule, after a number of epochs."""

    def __init__(self, rule: StoppingRule, epochs: int) -> None:
        self.rule, self.epochs = rule, epochs
        self.asks_for_time = asks_for_time(rule)

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        return self.rule.reason(history, epoch, elapsed) if epoch > self.epochs else None

    def watched(self) -> Iterator[Monitor]:
        return watched_by(self.rule)

    def time_limit(self) -> TimeLimit | None:
        return time_limit_of(self.rule)


def test_a_composite_of_a_user_says_what_its_parts_watch() -> None:
    assert asks_for_time(Own()) and asks_for_time(FirstOf(NoImprovement(), Own()))
    later = FirstOf(Later(NoImprovement("Accuracy"), 5))
    assert list(watched_by(later)) == [Monitor("Accuracy")]
    assert (asks_for_time(later), time_limit_of(later)) == (False, None)
    later = FirstOf(Later(TimeLimit(60), 5), TimeLimit(hours=1))
    assert (asks_for_time(later), time_limit_of(later)) == (True, TimeLimit(60))


def test_the_time_limit_is_the_shortest_that_stops_the_run_by_itself() -> None:
    long, short = TimeLimit(hours=2), TimeLimit(minutes=1)
    assert time_limit_of(FirstOf(long, NoImprovement(), FirstOf(short))) == short
    assert time_limit_of(FirstOf(long, AllOf(short, NoImprovement()))) == long
    assert time_limit_of(NoImprovement()) is None


RULES = [
    NoImprovement("Accuracy", Split.TRAIN, "highest", 4, 0.01, 2),
    Threshold(value=0.5),
    TimeLimit(minutes=2),
    FirstOf(NoImprovement(), AllOf(TimeLimit(1), Threshold(value=1))),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_are_values_that_can_be_written_down(rule: Any) -> None:
    assert eval(repr(rule)) == rule
    assert hash(eval(repr(rule))) == hash(rule)
    assert isinstance(rule, StoppingRule)
    with pytest.raises(AttributeError):
        rule.epochs = 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: NoImprovement(epochs=0),
        lambda: NoImprovement(warmup=-1),
        lambda: NoImprovement(min_delta=-0.1),
        lambda: NoImprovement(metric=""),
        lambda: NoImprovement(split="dev"),
        lambda: NoImprovement(direction="min"),
        lambda: Threshold(),
        lambda: Threshold(value=nan),
        lambda: Threshold(value=inf),
        lambda: Threshold(split="dev", value=1),
        lambda: TimeLimit(),
        lambda: TimeLimit(0),
        lambda: TimeLimit(minutes=-1, hours=1),
        lambda: TimeLimit(nan),
        lambda: TimeLimit(inf),
        lambda: FirstOf(),
        lambda: FirstOf([TimeLimit(5)]),
        lambda: FirstOf(TimeLimit),
        lambda: AllOf(TimeLimit(5), None),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="Received: "):
        make()
