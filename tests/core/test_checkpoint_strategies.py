"""Which checkpoints are kept, against a model that tries every set."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.checkpoint import DEFAULT, AnyOf, CheckpointStrategy, KeepBest, KeepLast
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.history import History


def history(values, split=Split.VALID, metric="Loss"):
    found = History()
    for epoch, value in values.items():
        found = found.with_epoch(split, epoch, {metric: value})
    return found


numbers = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 2.0, 3.0])
histories = st.dictionaries(st.integers(1, 12), numbers, max_size=12)
on_disk = st.lists(st.integers(1, 12), max_size=8, unique=True)


@given(on_disk, st.integers(1, 10))
def test_the_last_are_those_with_fewer_than_n_after_them(epochs, n):
    assert KeepLast(n).keep(epochs, History()) == {e for e in epochs if sum(other > e for other in epochs) < n}


@given(on_disk, histories, st.integers(1, 4), st.sampled_from(["lowest", "highest"]))
def test_the_best_are_those_with_fewer_than_k_better_before_nan_and_ties_aside(epochs, values, k, direction):
    def beats(a, b):
        better = values[a] < values[b] if direction == "lowest" else values[a] > values[b]
        return better or (values[a] == values[b] and a < b)

    candidates = [e for e in epochs if not math.isnan(values.get(e, math.nan))]
    expected = {e for e in candidates if sum(beats(other, e) for other in candidates) < k}
    assert KeepBest(direction=direction, k=k).keep(epochs, history(values)) == expected


@given(on_disk, histories)
def test_any_of_is_the_union_and_the_default_is_the_last_two_and_the_best(epochs, values):
    past = history(values)
    expected = KeepLast(2).keep(epochs, past) | KeepBest("Loss", "valid", "lowest", 1).keep(epochs, past)
    assert AnyOf(KeepLast(2), KeepBest()).keep(epochs, past) == DEFAULT.keep(epochs, past) == expected


def test_a_run_under_the_default_strategy():
    losses = {1: 0.9, 2: 0.5, 3: 0.5, 4: math.nan, 5: 0.7, 6: 0.4}
    disk, kept = set(), []
    for epoch in losses:
        past = history({e: value for e, value in losses.items() if e <= epoch})
        disk = DEFAULT.keep(sorted(disk | {epoch}), past)
        kept.append(sorted(disk))
    assert kept == [[1], [1, 2], [2, 3], [2, 3, 4], [2, 4, 5], [5, 6]]


def test_other_splits_and_metrics_are_not_mixed_up():
    past = history({1: 0.1, 2: 0.9}, Split.TRAIN, "Accuracy")
    assert KeepBest("Accuracy", "train", "highest").keep([1, 2], past) == {2}
    assert KeepBest("Accuracy", "valid", "highest").keep([1, 2], past) == frozenset()
    assert KeepBest("Loss", Split.TRAIN).keep([1, 2], past) == frozenset()


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeepLast(0),
        lambda: KeepLast(True),
        lambda: KeepLast(1.0),
        lambda: KeepBest(k=0),
        lambda: KeepBest(metric=""),
        lambda: KeepBest(metric=None),
        lambda: KeepBest(split="dev"),
        lambda: KeepBest(direction="min"),
        lambda: AnyOf(),
        lambda: AnyOf(KeepLast),
        lambda: AnyOf(2),
        lambda: AnyOf([KeepLast(2)]),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(make):
    with pytest.raises(ConfigurationError, match="Received: "):
        make()


def test_strategies_are_values():
    assert AnyOf(KeepLast(2), KeepBest()) == DEFAULT
    assert hash(AnyOf(KeepLast(2), KeepBest())) == hash(DEFAULT)
    assert repr(AnyOf(KeepLast(2))) == "AnyOf(strategies=(KeepLast(n=2),))"
    assert all(isinstance(each, CheckpointStrategy) for each in (KeepLast(1), KeepBest(), DEFAULT))
