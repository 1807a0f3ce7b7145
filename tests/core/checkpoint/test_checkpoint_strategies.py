"""Which checkpoints are kept, against a model that tries every set."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import toy_experiment as toy

from multilearn.checkpoint import DEFAULT, AnyOf, CheckpointStrategy, KeepBest, KeepEvery, KeepLast
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


@given(on_disk, histories, st.integers(1, 7))
def test_every_nth_epoch_stays_whatever_its_loss(epochs, values, n):
    expected = {e for e in epochs if e in range(n, 13, n)}
    assert KeepEvery(n).keep(epochs, history(values)) == KeepEvery(n).keep(epochs, History()) == expected


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


def trained(strategy, losses, restarts=()):
    """What is on disk after the epochs 1, 2, ... of `losses`.

    At the k-th of `restarts` it was interrupted `restarts[k]` epochs after the last beginning, before that epoch's
    checkpoint was written, and went on from the newest on disk, or from the start where there was none.
    """
    disk, past, epoch, begun = frozenset(), History(), 0, 0
    left = list(restarts)
    while epoch < len(losses):
        if left and epoch - begun == left[0]:
            left.pop(0)
            epoch = begun = max(disk, default=0)
            past = history({e: losses[e - 1] for e in range(1, epoch + 1)})
            continue
        epoch += 1
        past = past.with_epoch(Split.VALID, epoch, {"Loss": losses[epoch - 1]})
        disk = strategy.keep(sorted(disk | {epoch}), past)
    return disk


def last_of(epochs, n):
    return set(epochs[len(epochs) - min(n, len(epochs)) :])


def best_of_all(losses, k, highest=False):
    """By sorting: numbers before NaN, equal ones by their epoch."""
    sortable = [(-loss if highest else loss, epoch) for epoch, loss in enumerate(losses, 1) if not math.isnan(loss)]
    return {epoch for _, epoch in sorted(sortable)[:k]}


long_losses = st.lists(st.one_of(numbers, st.floats(width=16)), min_size=1, max_size=120)
interruptions = st.lists(st.integers(0, 25), max_size=6)


@given(long_losses, interruptions, st.integers(1, 5), st.integers(1, 4), st.integers(1, 9))
def test_after_a_long_run_with_restarts_what_is_kept_is_what_its_definition_says(losses, restarts, last, k, n):
    epochs = list(range(1, len(losses) + 1))
    expected = {
        KeepLast(last): last_of(epochs, last),
        KeepBest(k=k): best_of_all(losses, k),
        KeepBest(direction="highest", k=k): best_of_all(losses, k, highest=True),
        KeepEvery(n): {epoch for epoch in epochs if epoch % n == 0},
    }
    for strategy, kept in expected.items():
        assert trained(strategy, losses, restarts) == kept
    assert trained(AnyOf(*expected), losses, restarts) == set().union(*expected.values())


@given(long_losses, st.data())
def test_going_back_to_an_older_checkpoint_loses_nothing_that_is_kept_before_it(losses, data):
    strategy = AnyOf(KeepLast(3), KeepBest(k=2), KeepEvery(5))
    disk = trained(strategy, losses)
    back = data.draw(st.sampled_from(sorted(disk)))
    # what came after it is withdrawn; the losses that follow are others
    disk, past = {e for e in disk if e <= back}, history(dict(enumerate(losses[:back], 1)))
    for epoch in range(back + 1, back + 1 + len(losses)):
        loss = data.draw(numbers)
        past, before = past.with_epoch(Split.VALID, epoch, {"Loss": loss}), disk | {epoch}
        disk = strategy.keep(sorted(before), past)
        values = past.values("valid", "Loss")
        among = sorted((values[e], e) for e in before if not math.isnan(values[e]))[:2]
        assert disk == {e for e in before if e % 5 == 0} | set(sorted(before)[-3:]) | {e for _, e in among}


def test_other_splits_and_metrics_are_not_mixed_up():
    past = history({1: 0.1, 2: 0.9}, Split.TRAIN, "Accuracy")
    assert KeepBest("Accuracy", "train", "highest").keep([1, 2], past) == {2}
    assert KeepBest("Accuracy", "valid", "highest").keep([1, 2], past) == frozenset()
    assert KeepBest("Loss", Split.TRAIN).keep([1, 2], past) == frozenset()


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeepLast(0),
        lambda: KeepEvery(0),
        lambda: KeepBest(k=0),
        lambda: KeepBest(metric=""),
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
    described = AnyOf(KeepLast(2), KeepBest("Accuracy", Split.TRAIN, "highest"), AnyOf(KeepEvery(3)))
    assert eval(repr(described)) == described
    assert repr(AnyOf(KeepLast(2))) == "AnyOf(KeepLast(n=2))"
    assert all(isinstance(each, CheckpointStrategy) for each in (KeepLast(1), KeepEvery(1), KeepBest(), DEFAULT))


def test_a_best_epoch_of_a_split_without_data_is_kept_by_nothing_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.build(toy.builder(tmp_path / "default")).fit(toy.train_loader())
    assert caplog.messages == []
    described = toy.builder(tmp_path / "run").with_checkpointing_strategy(AnyOf(KeepBest(), KeepEvery(2)))
    toy.build(described).fit(toy.train_loader())
    assert toy.checkpoints(tmp_path / "run") == ["2"]
    assert "KeepBest keeps nothing: there is no data of valid, of which it watches Loss." in caplog.messages
