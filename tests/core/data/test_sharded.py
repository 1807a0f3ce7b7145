"""Loaders that yield each process's own rows: what all of them train on, and what does not fit together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import multilearn as ml
from multilearn.data import as_loader, batches_of, flat
from multilearn.data.own_rows import as_shards, joined
from multilearn.errors import DataError
from multilearn.protocols import World

X, Y = np.arange(24.0, dtype="float32").reshape(12, 2), np.arange(12)


class OfThreads(World):
    """Threads as the processes of a world."""

    def __init__(self, rank: int, handed_over: list[bytes], all_here: threading.Barrier) -> None:
        self.rank, self.size = rank, all_here.parties
        self._handed_over, self._all_here = handed_over, all_here

    def gather(self, value: bytes) -> Sequence[bytes]:
        self._handed_over[self.rank] = value
        self._all_here.wait(timeout=30)
        found = list(self._handed_over)
        self._all_here.wait(timeout=30)
        return found


def in_a_world(size: int, work: Callable[[World], Any]) -> list[Any]:
    """What each of so many processes gets, or the error that it meets."""
    handed_over, all_here = [b""] * size, threading.Barrier(size)

    def of(rank: int) -> Any:
        try:
            return work(OfThreads(rank, handed_over, all_here))
        except DataError as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(of, range(size)))


def own(rank: int, size: int, rows: int = 2) -> Iterator[Any]:
    """Every `size`-th item is a process's own, as torch's DistributedSampler has it."""
    for start in range(0, 12 // size, rows):
        yield {"x": X[rank::size][start : start + rows]}, Y[rank::size][start : start + rows]


@pytest.mark.parametrize("size", [2, 3])
def test_the_batch_is_that_of_all_in_their_order(size: int) -> None:
    def work(world: World) -> Any:
        batches = [*joined(as_shards(own(world.rank, size), world, 1), world)]
        return batches, [*as_shards(own(world.rank, size), world, 1)]

    for rank, (batches, shards) in enumerate(in_a_world(size, work)):
        for number, (x, y) in enumerate(batches):
            items = np.concatenate([np.arange(12)[each::size][2 * number : 2 * number + 2] for each in range(size)])
            assert y.tolist() == items.tolist()
            assert np.array_equal(x["x"], X[items])
            shard = shards[number]
            assert (shard.first, shard.total, shard.whole) == (2 * rank, 2 * size, False)
            assert flat(shard.batch)[1].tolist() == items[shard.first : shard.first + 2].tolist()
        assert len(batches) == len(shards) == 6 // size


@pytest.mark.parametrize(("rows", "said"), [((2, 1), "2 rows on rank 0, and 1 rows"), ((3, 6), "3 rows on rank 0")])
def test_parts_that_are_not_alike_are_refused_in_every_process(rows: tuple[int, int], said: str) -> None:
    errors = in_a_world(2, lambda world: [*as_shards(own(world.rank, 2, rows[world.rank]), world, 4)])
    assert all(isinstance(error, DataError) for error in errors), errors
    assert {str(error) for error in errors} == {str(errors[0])}
    assert said in str(errors[0])
    assert "in epoch 4" in str(errors[0])


def test_one_that_ends_before_the_others_is_refused_in_every_process() -> None:
    def work(world: World) -> Any:
        batches = [*own(world.rank, 2)][: 3 - world.rank]
        return [*as_shards(iter(batches), world, 1)]

    errors = in_a_world(2, work)
    assert ["2 rows on rank 0, and no batch on rank 1" in str(error) for error in errors] == [True, True]


def test_in_a_process_alone_it_is_the_loader() -> None:
    given = [(X[:6], Y[:6]), (X[6:], Y[6:])]
    loader = as_loader(ml.Sharded(given), "training")
    assert len(loader) == 2
    with batches_of(loader, 1, 1, 1) as batches:
        (found,) = [*batches]
    assert all(map(np.array_equal, found, given[1]))
    with pytest.raises(DataError, match="sharded data must be a loader"):
        ml.Sharded(X)
