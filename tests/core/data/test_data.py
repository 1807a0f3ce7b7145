"""Loaders: which items are in which batch is a function of the seed and the epoch, and nothing else."""

from __future__ import annotations

from collections import Counter, namedtuple
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multilearn as ml
from multilearn.data import Batches, as_loader, permutation
from multilearn.errors import ConfigurationError, DataError
from multilearn.protocols import Loader

MASK = 2**64 - 1
SEEDS = st.integers(0, 2**63 - 1)


def philox(seed: int, epoch: int, count: int) -> list[int]:
    """Philox 4x64 with ten rounds (Salmon et al. 2011), written out: counters from 1, keyed by (seed, epoch)."""
    words: list[int] = []
    for number in range(1, count // 4 + 2):
        c, k = [number, 0, 0, 0], [seed, epoch]
        for _ in range(10):
            high0, low0 = divmod(0xD2E7470EE14C6C93 * c[0], 2**64)
            high1, low1 = divmod(0xCA5A826395121157 * c[2], 2**64)
            c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
            k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
        words += c
    return words[:count]


def items(batches: Any) -> list[int]:
    """The ids in batches of `arange`."""
    return [int(item) for batch in batches for item in batch]


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
@pytest.mark.parametrize("epoch", [1, 2, 1000])
def test_the_order_is_the_stable_argsort_of_philox_bits_keyed_by_seed_and_epoch(seed: int, epoch: int) -> None:
    bits = philox(seed, epoch, 103)
    expected = sorted(range(103), key=lambda item: bits[item])
    assert permutation(103, seed, epoch).tolist() == expected
    loader = ml.DataLoader(np.arange(103), 10, shuffle=True)
    assert items(loader.iterate(seed, epoch)) == expected


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(permutation(50, seed, epoch)) for seed in range(5) for epoch in range(1, 6)}
    assert len(orders) == 25


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    loader = ml.DataLoader(np.arange(10), 4)
    assert [batch.tolist() for batch in loader.iterate(7, 3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    seed=SEEDS,
    epoch=st.integers(1, 10**6),
    shuffle=st.booleans(),
)
def test_every_item_is_handed_out_exactly_once_per_epoch(
    count: int, batch_size: int, seed: int, epoch: int, shuffle: bool
) -> None:
    loader = ml.DataLoader(np.arange(count), batch_size, shuffle=shuffle)
    batches = list(loader.iterate(seed, epoch))
    assert Counter(items(batches)) == Counter(range(count))
    assert len(batches) == len(loader)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(loader) - 1)
    assert 1 <= len(batches[-1]) <= batch_size


@given(count=st.integers(0, 60), batch_size=st.integers(1, 70), seed=SEEDS)
def test_with_drop_last_all_batches_are_whole_and_the_first_of_the_same_order(
    count: int, batch_size: int, seed: int
) -> None:
    whole = ml.DataLoader(np.arange(count), batch_size, shuffle=True, drop_last=True)
    ragged = ml.DataLoader(np.arange(count), batch_size, shuffle=True)
    batches = [batch.tolist() for batch in whole.iterate(seed, 1)]
    assert len(batches) == len(whole) == count // batch_size
    assert batches == [batch.tolist() for batch in ragged.iterate(seed, 1)][: len(batches)]


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9), start=st.integers(0, 45), shuffle=st.booleans())
def test_starting_later_gives_the_rest_of_the_same_epoch(
    count: int, batch_size: int, start: int, shuffle: bool
) -> None:
    loader = ml.DataLoader(np.arange(count), batch_size, shuffle=shuffle)
    rest = [batch.tolist() for batch in loader.iterate(3, 2, start)]
    assert rest == [batch.tolist() for batch in loader.iterate(3, 2)][start:]


def test_what_is_skipped_is_not_loaded() -> None:
    class Counting(np.ndarray):
        taken = 0

        def __getitem__(self, key: Any) -> Any:
            Counting.taken += 1
            return super().__getitem__(key)

    loader = ml.DataLoader(np.arange(100).view(Counting), 10, shuffle=True)
    list(loader.iterate(0, 1, 8))
    assert Counting.taken == 2


def test_arrays_of_one_item_stay_together_whatever_they_are_nested_in() -> None:
    ids = np.arange(23)
    data = ({"image": np.stack([ids, ids], 1), "tokens": (ids * 2, [ids * 3])}, ids * 4, None)
    for x, y, nothing in ml.DataLoader(data, 5, shuffle=True).iterate(1, 1):
        image, (twice, [thrice]) = x["image"], x["tokens"]
        assert nothing is None
        assert image.shape == (len(y), 2)
        assert (image[:, 0] * 4).tolist() == (twice * 2).tolist() == (thrice / 3 * 4).tolist() == y.tolist()


def test_named_tuples_stay_what_they_are() -> None:
    pair = namedtuple("pair", "x y")
    (batch,) = ml.DataLoader(pair(np.arange(3), np.arange(3)), 3).iterate(0, 1)
    assert isinstance(batch, pair)


def test_a_list_of_arrays_is_a_tuple_of_columns_and_a_list_of_numbers_one_array() -> None:
    (batch,) = ml.DataLoader([np.arange(4), np.arange(4) * 2], 4).iterate(0, 1)
    assert isinstance(batch, tuple) and len(batch) == 2
    (batch,) = ml.DataLoader([5, 6, 7], 4).iterate(0, 1)
    assert batch.tolist() == [5, 6, 7]


def test_types_are_kept_and_the_data_is_not_changed() -> None:
    for dtype in (np.uint8, np.int32, np.float16, np.float64, bool):
        array = np.arange(6).astype(dtype)
        before = array.copy()
        batches = list(ml.DataLoader(array, 4, shuffle=True).iterate(0, 1))
        assert {batch.dtype for batch in batches} == {np.dtype(dtype)}
        assert (array == before).all()


def test_the_whole_is_what_was_given() -> None:
    x, y = np.arange(6.0), np.arange(6)
    whole = ml.DataLoader((x, y), 4, shuffle=True).whole()
    assert whole[0] is x and whole[1] is y


def test_iterating_over_a_loader_shows_the_first_epoch_under_the_seed_in_force() -> None:
    ml.set_seed(5)
    loader = ml.DataLoader(np.arange(9), 4, shuffle=True)
    assert items(loader) == items(loader) == permutation(9, 5, 1).tolist()


@pytest.mark.parametrize("batch_size", [0, -3, 2.0, True, None, "8"])
def test_what_is_no_batch_size_is_refused(batch_size: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch_size must be a whole number of at least 1"):
        ml.DataLoader(np.arange(3), batch_size)


def test_arrays_of_different_lengths_are_refused_and_named() -> None:
    with pytest.raises(DataError, match=r"data\[0\]\['a'\]: 3, data\[0\]\['b'\]: 4, data\[1\]: 3"):
        ml.DataLoader(({"a": np.arange(3), "b": np.arange(4)}, np.arange(3)), 2)


def test_a_transform_encodes_text() -> None:
    texts = np.array(["one", "two"]), np.arange(2)
    ((x, _),) = ml.DataLoader(texts, 2, transform=lambda item: (len(item[0]), item[1]))
    assert x.tolist() == [3, 3]


@pytest.mark.parametrize(
    "batch", [None, ("text", 1), [object()], (np.array([None]), 1)], ids=["none", "text", "object", "array"]
)
def test_a_batch_that_holds_no_numbers_is_refused(batch: Any) -> None:
    with pytest.raises(DataError, match=r"A batch is made of"):
        next(as_loader([batch], "training").iterate(0, 1))


@pytest.mark.parametrize("data", [np.float32(3), 3, (np.arange(3), 5), np.array([[1], [2, 3]], object), "text"])
def test_what_has_no_items_or_no_number_type_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match=r"items as its first axis|made of numbers.*Pad them"):
        ml.DataLoader(data, 2)


@pytest.mark.parametrize("data", [(), {}, None, (None, None)])
def test_no_array_at_all_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match="no array"):
        ml.DataLoader(data, 2)


def test_no_items_make_no_batches() -> None:
    loader = ml.DataLoader((np.zeros((0, 3)), np.zeros(0)), 4, shuffle=True)
    assert len(loader) == 0
    assert list(loader.iterate(0, 1)) == []


def test_a_list_of_ready_batches_is_a_loader_in_its_own_order() -> None:
    batches = [(1.5, 1), (2.5, 2), (3.5, 3)]
    loader = as_loader(batches, "training")
    assert isinstance(loader, Batches) and isinstance(loader, Loader)
    assert len(loader) == 3
    for seed, epoch in [(0, 1), (9, 4)]:
        assert list(loader.iterate(seed, epoch)) == batches
        assert list(loader.iterate(seed, epoch, 2)) == batches[2:]
    assert list(loader.iterate(0, 1, 5)) == []


def test_whatever_iterates_by_seed_epoch_and_start_is_a_loader() -> None:
    class Mine:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            yield seed, epoch, start

    mine = Mine()
    assert as_loader(mine, "training") is mine


def test_the_class_of_a_loader_is_refused() -> None:
    class Mine:
        def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
            yield 1

    with pytest.raises(DataError, match=r"must be a loader.*Received: type"):
        as_loader(Mine, "training")


def test_the_orders_of_neighbouring_epochs_are_not_alike() -> None:
    """An item should meet other neighbours: few pairs that follow each other do so again."""
    pairs = [set(pairwise(permutation(1000, 3, epoch).tolist())) for epoch in (1, 2)]
    assert len(pairs[0] & pairs[1]) < 10


def test_a_permutation_is_the_stable_argsort_of_the_bits_also_where_bits_are_equal(monkeypatch):
    bits = np.random.Philox(key=np.array([3, 7], np.uint64)).random_raw(5000)
    np.testing.assert_array_equal(permutation(5000, 3, 7), sorted(range(5000), key=lambda item: bits[item]))

    class Coarse(np.random.Philox):
        def random_raw(self, size):
            return super().random_raw(size) % np.uint64(5)

    monkeypatch.setattr(np.random, "Philox", Coarse)
    tied = Coarse(key=np.array([3, 7], np.uint64)).random_raw(5000)
    np.testing.assert_array_equal(permutation(5000, 3, 7), sorted(range(5000), key=lambda item: tied[item]))
