"""Epochs of a given number of batches: the first ones of each pass through a loader, or the next ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.data import as_loader, batches_of, kept_working, length, out_of_order
from multilearn.data.fingerprint import data_facts, loader_facts
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import World

ITEMS, SIZE = np.arange(9), 2
PER_PASS = 5


class OneOf(World):
    """A place among processes that need not meet."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


class Placed:
    """Batches in their order, with an iterator that knows its place."""

    def __iter__(self) -> Iterator[Any]:
        return PlacedIterator()


class PlacedIterator:
    def __init__(self) -> None:
        self.place = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.place >= len(ITEMS):
            raise StopIteration
        self.place += SIZE
        return ITEMS[self.place - SIZE : self.place]

    def get_state(self) -> dict[str, int]:
        return {"place": self.place}

    def set_state(self, state: dict[str, int]) -> None:
        self.place = state["place"]


def generated() -> Iterator[Any]:
    return (ITEMS[start : start + SIZE] for start in range(0, len(ITEMS), SIZE))


def endless() -> Iterator[Any]:
    return (np.array([number]) for number in count())


def epochs(loader: Any, *numbers: int, seed: int = 3) -> list[list[list[int]]]:
    """The batches of these epochs, as `fit` takes them: after a look at the first one, its workers kept."""
    with kept_working(loader):
        with batches_of(loader, seed, 1) as batches:
            next(batches)
        found = []
        for number in numbers:
            with batches_of(loader, seed, number) as batches:
                found.append([batch.tolist() for batch in batches])
        return found


def in_a_row(passes: int, *, shuffle: bool) -> list[list[int]]:
    """The batches of so many epochs of the loader that is not bounded."""
    whole = ml.DataLoader(ITEMS, SIZE, shuffle=shuffle)
    return [batch.tolist() for number in range(1, passes + 1) for batch in whole.iterate(3, number)]


@pytest.mark.parametrize("batches", [1, 2, 5, 7, 12])
def test_each_epoch_has_the_next_batches_and_each_pass_its_own_order(batches: int) -> None:
    expected = in_a_row(8, shuffle=True)
    for options in ({}, {"num_workers": 2, "workers": "thread"}):
        loader = ml.DataLoader(ITEMS, SIZE, shuffle=True, **options).epoch_of(batches)
        assert len(loader) == length(loader) == batches
        assert epochs(loader, 1, 2, 3) == [expected[k * batches : (k + 1) * batches] for k in range(3)]
    # any of them by itself, from any batch on
    for start in range(batches):
        fresh = ml.DataLoader(ITEMS, SIZE, shuffle=True).epoch_of(batches)
        found = [batch.tolist() for batch in fresh.iterate(3, 3, start)]
        assert found == expected[2 * batches + start : 3 * batches]


@pytest.mark.parametrize(
    "data", [generated, Placed(), [*generated()], toy.Watched(ml.DataLoader(ITEMS, SIZE), lambda *_: None)]
)
def test_whatever_fit_takes_has_such_epochs(data: Any) -> None:
    expected = in_a_row(4, shuffle=False)
    assert epochs(ml.epoch_of(data, 3), 1, 2, 3) == [expected[:3], expected[3:6], expected[6:9]]
    assert epochs(ml.take(data, 3), 1, 2) == [expected[:3]] * 2


def test_an_endless_generator_goes_on_and_epochs_that_are_left_out_are_gone_through() -> None:
    for data in (endless, endless()):
        assert epochs(ml.epoch_of(data, 2), 1, 2, 3) == [[[0], [1]], [[2], [3]], [[4], [5]]]
    # as validation every second epoch has them
    assert epochs(ml.epoch_of(endless, 2), 2, 4) == [[[2], [3]], [[6], [7]]]
    assert epochs(ml.take(endless, 2), 1, 2) == [[[0], [1]]] * 2


def test_a_generator_that_ends_and_a_loader_without_batches_are_said() -> None:
    with pytest.raises(DataError, match="used up"):
        epochs(ml.epoch_of(generated(), 3), 1, 2)
    assert [*ml.epoch_of([], 3).iterate(0, 1)] == []


def test_only_the_first_batches_of_each_epoch_are_taken() -> None:
    loader = ml.DataLoader(ITEMS, SIZE, shuffle=True)
    whole = [[batch.tolist() for batch in loader.iterate(3, epoch)] for epoch in (1, 2)]
    assert epochs(loader.take(2), 1, 2) == [whole[0][:2], whole[1][:2]]
    assert [batch.tolist() for batch in loader.take(3).iterate(3, 2, 1)] == whole[1][1:3]
    assert (len(loader.take(2)), len(loader.take(50))) == (2, PER_PASS)
    # one after the other
    assert epochs(ml.epoch_of(loader.take(2), 3), 1, 2) == [
        [*whole[0][:2], whole[1][0]],
        [whole[1][1], *([batch.tolist() for batch in loader.iterate(3, 3)][:2])],
    ]


@pytest.mark.parametrize("batches", [0, -1, 2.5, "3", True, None])
def test_an_epoch_has_a_whole_number_of_batches(batches: Any) -> None:
    loader = ml.DataLoader(ITEMS, SIZE)
    for bound in (loader.take, loader.epoch_of, lambda n: ml.take(loader, n), lambda n: ml.epoch_of(loader, n)):
        with pytest.raises(ConfigurationError, match="The number of batches of an epoch"):
            bound(batches)
    with pytest.raises(DataError, match="Wrap arrays"):
        ml.epoch_of((ITEMS, ITEMS), 2)


def test_a_process_of_several_has_its_rows_of_the_same_batches() -> None:
    for make in (lambda: ml.DataLoader(ITEMS, SIZE, shuffle=True).epoch_of(3), lambda: ml.epoch_of(generated, 3)):
        parts = []
        for rank in range(2):
            loader, world = make(), OneOf(rank, 2)
            found = []
            with kept_working(loader):
                first = next(iter(loader.iterate(3, 1)))
                for epoch in (1, 2):
                    with batches_of(loader, 3, epoch, world=world) as shards:
                        found += [shard.batch.tolist() for shard in shards]
            parts.append(found)
        whole = [batch for epoch in epochs(make(), 1, 2) for batch in epoch]
        assert [[*one, *other][: len(batch)] for one, other, batch in zip(*parts, whole, strict=True)] == whole
        assert first.tolist() == whole[0]


def test_what_is_known_of_the_loader_is_known_of_its_epochs() -> None:
    loader = ml.DataLoader(ITEMS, SIZE, shuffle=True)
    bounded = ml.epoch_of(loader.take(4), 3)
    assert data_facts(bounded, None) == data_facts(loader, None)
    facts = loader_facts(bounded, 3, ITEMS[:2])
    assert facts == {**loader.options(), "batches": 3, "batch_size": 2, "take": 4, "epoch_of": 3}
    assert out_of_order(bounded) == "it shuffles"
    np.testing.assert_array_equal(bounded.whole(), ITEMS)


def test_the_horizon_of_a_schedule_and_the_total_of_the_progress_are_those_of_the_epochs(tmp_path: Path) -> None:
    seen = toy.Recorded()
    builder = toy.builder(tmp_path / "run", 2).metric_loggers(seen)
    learner = builder.build(toy.task(), toy.Momentum(), ml.schedulers.Cosine(0.5))
    learner.fit(ml.epoch_of(lambda: iter(toy.train_loader()), 7), toy.valid_loader().take(1))
    (started,) = seen.of(ml.events.Started)
    assert dict(started.batches) == {"train": 7, "valid": 1}
    assert toy.experiment(tmp_path / "run")["scheduler"]["updates"] == 14
    assert [event.batch for event in seen.of(ml.events.Stepped) if event.split == "train"] == [*range(1, 8)] * 2


def test_as_loader_takes_them_as_they_are() -> None:
    bounded = ml.take([ITEMS], 1)
    assert as_loader(bounded, "training") is bounded
