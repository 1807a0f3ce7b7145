"""Epoch values, which of them is best, and how the values of a metric grow without being copied."""

from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.early_stopping import NoImprovement, Threshold
from multilearn.events import Split
from multilearn.history import Direction, History, Monitor, Series
from multilearn.schedulers import ReduceOnPlateau

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


# --- series ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), max_size=12))
def test_every_series_is_the_dict_of_what_it_was_made_of_whatever_was_added_to_it_later(
    added: list[tuple[int, int]],
) -> None:
    expected, made = [dict[int, float]()], [Series()]
    for epoch, value in added:
        expected.append(dict(sorted({**expected[-1], epoch: float(value)}.items())))
        made.append(made[-1].with_value(epoch, float(value)))
    for series, by_hand in zip(made, expected, strict=True):
        assert series == by_hand
        assert list(series.items()) == list(by_hand.items())
        assert (list(series), list(series.values()), len(series)) == ([*by_hand], [*by_hand.values()], len(by_hand))
        assert all((epoch in series) == (epoch in by_hand) for epoch in range(8))


@given(st.lists(st.integers(-5, 5), max_size=8), st.lists(st.integers(0, 9), max_size=6))
def test_a_fold_is_that_over_all_epochs_up_to_one_in_whatever_order_it_is_asked(
    values: list[int], untils: list[int]
) -> None:
    series = [Series()]
    for epoch, value in enumerate(values, start=1):
        series.append(series[-1].with_value(epoch, float(value)))
    branch = series[len(values) // 2].with_value(9, 100.0)
    for until in untils:
        for each in (*series, branch):
            by_hand = [(epoch, value) for epoch, value in each.items() if epoch <= until]
            assert each.fold("seen", lambda seen, epoch, value: (*seen, (epoch, value)), (), until) == tuple(by_hand)


def test_rules_and_schedules_look_at_each_epoch_once(monkeypatch) -> None:
    looked = dict[str, int]()
    fold = Series.fold

    def counting(self, key, step, initial, until=float("inf")):
        def counted(state, epoch, value):
            looked[key[0].__name__] = looked.get(key[0].__name__, 0) + 1
            return step(state, epoch, value)

        return fold(self, key, counted, initial, until)

    monkeypatch.setattr(Series, "fold", counting)
    rules, schedule, history = (NoImprovement(epochs=999), Threshold(value=-1.0)), ReduceOnPlateau(0.1), History()
    for epoch in range(1, 501):
        history = history.with_epoch(Split.VALID, epoch, {"Loss": 1 / epoch})
        assert [rule.reason(history, epoch, 0.0) for rule in rules] == [None, None]
        schedule.observe(epoch, history)
    assert looked == {"NoImprovement": 500, "Threshold": 500, "ReduceOnPlateau": 500}
