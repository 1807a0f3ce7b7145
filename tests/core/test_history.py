"""Epoch values, and which of them is best."""

from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.events import Split
from multilearn.history import Direction, History, Monitor

# few distinct values, so that ties are common
curves = st.lists(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]) | st.floats(-2, 2),
    max_size=8,
)
directions: st.SearchStrategy[Direction] = st.sampled_from(["lowest", "highest"])


def of_curve(values: list[float], split: Split = Split.VALID, metric: str = "Loss") -> History:
    history = History()
    for epoch, value in enumerate(values, start=1):
        history = history.with_epoch(split, epoch, {metric: value})
    return history


def best_by_hand(values: dict[int, float], direction: Direction) -> int | None:
    """Epoch after epoch: only a strict improvement takes the place, and NaN never does."""
    best: int | None = None
    for epoch in sorted(values):
        value = values[epoch]
        if math.isnan(value):
            continue
        if best is None or (value < values[best] if direction == "lowest" else value > values[best]):
            best = epoch
    return best


@given(curves, directions)
def test_best_is_the_earliest_strict_improvement(values: list[float], direction: Direction) -> None:
    expected = best_by_hand(dict(enumerate(values, start=1)), direction)
    assert Monitor(direction=direction).best(of_curve(values)) == expected


@given(curves, directions, st.sets(st.integers(0, 10)))
def test_best_among_some_epochs_looks_at_no_other(values: list[float], direction: Direction, among: set[int]) -> None:
    asked = {epoch: value for epoch, value in enumerate(values, start=1) if epoch in among}
    monitor = Monitor(direction=direction)
    assert monitor.best(of_curve(values), among) == best_by_hand(asked, direction)
    assert monitor.best(of_curve(values), sorted(among, reverse=True)) == best_by_hand(asked, direction)


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.nan]])
def test_there_is_no_best_where_there_is_no_value(values: list[float]) -> None:
    assert Monitor().best(of_curve(values)) is None


def test_a_monitor_watches_its_own_metric_and_split() -> None:
    history = (
        of_curve([3.0, 1.0]).with_epoch(Split.TRAIN, 1, {"Loss": 0.0}).with_epoch(Split.VALID, 1, {"Accuracy": 0.9})
    )
    assert Monitor().best(history) == 2
    assert Monitor(split="train").best(history) == 1
    assert Monitor("Accuracy", direction="highest").best(history) == 1
    assert Monitor("F1").best(history) is None


def test_a_history_grows_by_making_a_new_one() -> None:
    one = of_curve([2.0])
    two = one.with_epoch(Split.VALID, 2, {"Loss": 1.0})
    assert (dict(one.values(Split.VALID, "Loss")), dict(two.values("valid", "Loss"))) == ({1: 2.0}, {1: 2.0, 2: 1.0})


def test_an_epoch_done_again_takes_the_place_of_the_first() -> None:
    again = of_curve([2.0, 3.0]).with_epoch(Split.VALID, 2, {"Loss": 1.5})
    assert again.values(Split.VALID, "Loss") == {1: 2.0, 2: 1.5}


def test_what_was_never_measured_is_empty() -> None:
    assert of_curve([1.0]).values(Split.TRAIN, "Loss") == {}
    assert of_curve([1.0]).values(Split.VALID, "Accuracy") == {}


@given(curves.filter(bool), curves.filter(bool))
def test_a_history_survives_a_record_bit_for_bit(loss: list[float], accuracy: list[float]) -> None:
    history = of_curve(loss)
    for epoch, value in enumerate(accuracy, start=1):
        history = history.with_epoch(Split.TRAIN, epoch, {"Accuracy": value})
    state = {"valid": {"Loss": [*enumerate(loss, 1)]}, "train": {"Accuracy": [*enumerate(accuracy, 1)]}}
    again = History.from_state(msgpack.unpackb(msgpack.packb(state)))
    # repr tells NaN from NaN no more and 0.0 from -0.0 still
    assert repr(again.table()) == repr(history.table())


def test_the_table_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        of_curve([1.0]).table()[Split.TRAIN] = {}  # type: ignore[index]
