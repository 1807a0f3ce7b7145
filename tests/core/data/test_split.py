"""Data divided into two parts: which items are in which, and that each part is what a loader takes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multilearn as ml
from multilearn.errors import ConfigurationError, DataError


class Squares:
    """A dataset of items by index."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, int]:
        if not 0 <= index < 10:
            raise IndexError(index)
        return index, index**2


class SquaresAtOnce(Squares):
    """The same, several at a time."""

    def __getitems__(self, indices: list[int]) -> list[tuple[int, int]]:
        return [self[index] for index in indices]


def loaded(part: Any) -> list[int]:
    """The first column of the items of a part, as a loader has them."""
    return [int(value) for batch in ml.DataLoader(part, 4) for value in np.ravel(batch[0])]


def expected(items: int, seed: int) -> list[int]:
    """The order of the items: the sort of the raw bits of Philox, keyed by the seed and no epoch."""
    bits = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(items)
    return sorted(range(items), key=lambda item: bits[item])


def in_a_file(path: Path) -> np.ndarray:
    np.save(path, np.arange(10))
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found


@pytest.mark.parametrize("kind", ["arrays", "columns", "items", "dataset", "several at a time", "file"])
def test_every_kind_of_data_is_divided_alike(kind: str, tmp_path: Path) -> None:
    numbers = np.arange(10)
    data = {
        "arrays": (numbers, {"y": numbers**2}),
        "columns": [numbers, numbers**2],
        "items": [(number, number**2) for number in range(10)],
        "dataset": Squares(),
        "several at a time": SquaresAtOnce(),
        "file": (in_a_file(tmp_path / "x.npy"), numbers**2),
    }[kind]
    ml.set_seed(5)  # of no effect
    train, valid = ml.train_valid_split(data, 0.3, 7)
    assert (loaded(train), loaded(valid)) == (expected(10, 7)[3:], expected(10, 7)[:3])
    # as worker processes need it
    assert loaded(pickle.loads(pickle.dumps(train))) == loaded(train)


def test_columns_stay_together_and_nested_as_they_were() -> None:
    x = np.arange(20).reshape(10, 2)
    (train, y), (valid, _) = ml.train_valid_split(({"a": x, "none": None}, x[:, 1]), 2)
    assert train["none"] is None and valid["a"].shape == (2, 2)
    np.testing.assert_array_equal(train["a"][:, 1], y)
    x[:] = 0
    assert valid["a"].any()  # a copy


@pytest.mark.parametrize(
    ("share", "count", "held_out"), [(0.2, 10, 2), (0.07, 100, 7), (0.21, 10, 3), (0.001, 10, 1), (4, 10, 4)]
)
def test_a_part_of_an_item_counts_as_one(share: float, count: int, held_out: int) -> None:
    train, valid = ml.train_valid_split(np.arange(count), share)
    assert (len(train), len(valid)) == (count - held_out, held_out)
    assert sorted([*train, *valid]) == list(range(count))


def test_each_part_has_the_same_share_of_every_class() -> None:
    # 12, 6 and 2 items: a quarter of them is 3, 1.5 and 0.5, of which 5 are to be taken
    classes = np.repeat(["many", "some", "few"], [12, 6, 2])
    # of the two halves one is cut off and the other one made whole
    for seed in range(5):
        train, valid = ml.train_valid_split(classes, 0.25, seed, stratify=classes)
        assert sorted(valid) == ["few", "many", "many", "many", "some"]
        assert sorted([*train, *valid]) == sorted(classes)
    train, valid = ml.train_valid_split(np.arange(20), 0.5, stratify=np.arange(20)[:, None] % 2)
    assert sorted(valid % 2) == sorted(train % 2) == [0] * 5 + [1] * 5


@pytest.mark.parametrize("share", [0, 0.0, 1.0, -0.1, 1.5, 2.0, "a", None, True, float("nan"), -3])
def test_what_is_no_share_is_refused(share: Any) -> None:
    with pytest.raises(ConfigurationError, match="above 0 and below 1, or a number of items"):
        ml.train_valid_split(np.arange(10), share)


@pytest.mark.parametrize(
    ("data", "share", "said"),
    [
        (np.arange(3), 3, "3 items, of which 3"),
        (np.zeros(1), 0.5, "at least one item"),
        (np.zeros(0), 0.5, "at least one item"),
        ((np.arange(4), np.arange(3)), 0.5, r"data\[1\]: 3"),
        (None, 0.5, "no array"),
        ("text", 0.5, "a str"),
        (ml.DataLoader(np.arange(4), 2), 0.5, "before batches are made"),
        (iter([1, 2]), 0.5, "before batches are made"),
    ],
)
def test_what_cannot_be_divided_is_refused(data: Any, share: float, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ml.train_valid_split(data, share)


def test_classes_are_of_each_item_and_words_of_other_libraries_are_understood() -> None:
    with pytest.raises(DataError, match=r"shape \(2,\), for 4 items"):
        ml.train_valid_split(np.arange(4), 2, stratify=[0, 1])
    with pytest.raises(TypeError, match="did you mean share"):
        ml.train_valid_split(np.arange(4), test_size=2)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=r"as one tuple: train_valid_split\(\(x, y\), 0.2\)"):
        ml.train_valid_split(np.arange(4), np.arange(4), 0.2)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="seed of a split"):
        ml.train_valid_split(np.arange(4), 2, -1)
