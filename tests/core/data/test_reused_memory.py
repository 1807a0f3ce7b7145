"""A batch is what it was when it was yielded, and an item what it was when it was returned, whatever follows."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import Momentum

import multilearn as ml
from multilearn.data import batches_of
from multilearn.data.aligned import is_lent

BATCHES, SIZE = 5, 8
X, Y = toy.arrays(BATCHES * SIZE)


def slices(start: int = 0) -> Iterator[slice]:
    return (slice(number * SIZE, number * SIZE + SIZE) for number in range(start, BATCHES))


class Copies:
    """What the others should be."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return ((X[rows].copy(), Y[rows].copy()) for rows in slices(start))


class Refilled(Copies):
    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        x, y = np.empty_like(X[:SIZE]), np.empty_like(Y[:SIZE])
        for rows in slices(start):
            x[:], y[:] = X[rows], Y[rows]
            yield x, y
        x[:], y[:] = 0, 0


class Undone(Copies):
    """Changes its data for a batch, and changes them back."""

    def __init__(self) -> None:
        self.x = -X

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for rows in slices(start):
            self.x[rows] *= -1
            try:
                yield self.x[rows], Y[rows]
            finally:
                self.x[rows] *= -1


class Ring(Copies):
    """Two places, used in turn by an iterator that is no generator."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        self.places, self.rows, self.turn = [(X[:SIZE].copy(), Y[:SIZE].copy()) for _ in range(2)], slices(start), 0
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        rows = next(self.rows)
        self.turn = 1 - self.turn
        x, y = self.places[self.turn]
        x[:], y[:] = X[rows], Y[rows]
        self.places[1 - self.turn][0][:] = 0
        return x, y


class Loaded(ml.DataLoader):
    """A DataLoader that changes the batches of its parent in place, and uses the labels' memory again."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        labels = np.empty_like(Y[:SIZE])
        for x, y in super().iterate(seed, epoch, start):
            labels[:] = y
            yield x, labels
            x[:] = 0


class Listed(Copies):
    """`[x, y]`, as Keras understands it."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return map(list, Refilled().iterate(seed, epoch, start))


SHARED = X[:SIZE].copy(), Y[:SIZE].copy()


class Shared(Copies):
    """Memory that the loader for validation has too."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for rows in slices(start):
            SHARED[0][:], SHARED[1][:] = X[rows], Y[rows]
            yield SHARED


OWN: dict[str, Callable[[], Any]] = {
    "refilled": Refilled,
    "undone": Undone,
    "ring": Ring,
    "subclass": lambda: Loaded((X, Y), SIZE),
    "list": Listed,
    "shared": Shared,
    "function": lambda: lambda: Shared().iterate(0, 1),
}


def trained(directory: Path, loader: Callable[[], Any], valid: Callable[[], Any]) -> Any:
    """Weights, the epoch values, the metric files, and an evaluation."""
    ml.set_seed(3)
    task = toy.task()
    learner = toy.builder(directory, 2).build(task, Momentum(), 0.1)
    learner.fit(loader(), valid())
    tested = ml.Evaluator(directory, renderer=ml.renderers.SilentRenderer()).evaluate(task, valid())
    predicted = [array.tobytes() for array in ml.predict(task, loader())]
    return toy.weights(learner), dict(learner.history["valid"]), toy.metric_files(directory), tested, predicted


@pytest.mark.parametrize("make", OWN.values(), ids=OWN.keys())
def test_a_loader_may_use_the_memory_of_its_batches_again(make: Callable[[], Any], tmp_path: Path) -> None:
    expected = trained(tmp_path / "copies", Copies, Copies)
    assert trained(tmp_path / "own", make, make) == expected


@pytest.mark.parametrize("nested", [OrderedDict, UserDict, dict], ids=lambda kind: kind.__name__)
def test_nested_batches_are_copied_leaf_by_leaf(nested: Callable[..., Any]) -> None:
    class Nested:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
            for x, y in Refilled().iterate(seed, epoch, start):
                yield nested(image=x, parts=[x[:, :2], {"y": y}], nothing=None)

    with batches_of(Nested(), 1, 1) as batches:
        found = list(batches)
    for batch, rows in zip(found, slices(), strict=True):
        assert batch["nothing"] is None
        for array, same in ((batch["image"], X), (batch["parts"][0], X[:, :2]), (batch["parts"][1]["y"], Y)):
            np.testing.assert_array_equal(array, same[rows])


def test_a_batch_is_copied_once_and_that_of_a_data_loader_not_at_all() -> None:
    wide = np.zeros((SIZE, 1000), np.float32)

    class One:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
            yield (wide,)

    with batches_of(One(), 1, 1) as batches:
        ((copy,),) = batches
    assert is_lent(copy) and not np.shares_memory(copy, wide)
    loader = ml.DataLoader((wide,), SIZE)
    with batches_of(loader, 1, 1) as batches:
        assert type(batches) is type(loader.iterate(1, 1))


ROW = np.empty(3)


def same_memory(item: Any) -> Any:
    """A transform that returns the same array each time."""
    ROW[:] = item
    return ROW, ROW[:1]


class Rows:
    """A dataset whose items are all in the same memory."""

    def __init__(self) -> None:
        self.row = np.empty(3)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        self.row[:] = index
        return {"x": self.row, "y": (self.row[0:1], index)}


class AtOnce(Rows):
    def __getitems__(self, indices: list[int]) -> Iterator[Any]:
        return map(self.__getitem__, indices)


WAYS: list[dict[str, Any]] = [
    {},
    {"prefetch": 2},
    {"num_workers": 1, "workers": "thread"},
    {"num_workers": 1, "workers": "process"},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_items_may_all_be_in_the_same_memory(way: dict[str, Any]) -> None:
    expected = [list(range(first, min(first + 6, 20))) for first in range(0, 20, 6)]
    transformed = ml.DataLoader(np.arange(20.0), 6, transform=same_memory, **way)
    assert [(x[:, 2].tolist(), y[:, 0].tolist()) for x, y in transformed] == [(each, each) for each in expected]
    for rows in (Rows(), AtOnce())[: 1 if way.get("workers") == "process" else 2]:
        found = list(ml.DataLoader(rows, 6, **way))
        assert [batch["x"][:, 1].tolist() for batch in found] == expected
        assert [batch["y"][0][:, 0].tolist() for batch in found] == [batch["y"][1].tolist() for batch in found]


def test_items_of_several_types_are_stacked_in_one_that_holds_all() -> None:
    items = [(1, np.float32(0.5)), (2.5, np.float64(1e300)), (True, np.int8(3))]
    ((x, y),) = ml.DataLoader(items, 3)
    assert x.dtype == y.dtype == np.float64
    assert x.tolist() == [1.0, 2.5, 1.0] and y.tolist() == [0.5, 1e300, 3.0]
