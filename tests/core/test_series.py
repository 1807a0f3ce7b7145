"""The values of a metric over the epochs: a mapping that grows without being copied."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from multilearn.early_stopping import NoImprovement, Threshold
from multilearn.events import Split
from multilearn.history import History, Series
from multilearn.schedulers import ReduceOnPlateau


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


def test_a_history_with_one_more_epoch_shares_the_values_of_those_before() -> None:
    histories = [History()]
    for epoch in range(1, 4):
        histories.append(histories[-1].with_epoch(Split.TRAIN, epoch, {"Loss": 0.5}))
    shared = [history.values("train", "Loss")._shared for history in histories[1:]]
    assert all(one is other for one, other in pairwise(shared))
