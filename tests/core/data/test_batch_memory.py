"""Batches in memory that frameworks can use as it is: the same numbers as by numpy's indexing."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from multilearn import DataLoader
from multilearn.data.aligned import copied, empty, is_lent, taken
from multilearn.data.arrays import fresh

DTYPES = ["float32", "float64", "float16", "int8", "uint16", "int64", "bool", ">f4", "U3", object, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(rows=st.lists(st.integers(0, 9), max_size=40), width=st.sampled_from([(), (1,), (400,), (30, 20), (0, 3)]))
def test_rows_and_copies_are_those_of_numpy(dtype: Any, rows: list[int], width: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 2, (10, *width)).astype(dtype)
    numbers = np.array(rows, np.int64)
    for found, expected in ((taken(array, numbers), array[numbers]), (copied(array[2:5]), array[2:5])):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tolist() == expected.tolist() if dtype is object else found.tobytes() == expected.tobytes()
        assert not np.shares_memory(found, array)


@given(array=arrays.arrays(np.float64, (3, 500), elements=st.floats(-1e30, 1e30)))
def test_a_copy_in_another_type_is_that_of_astype(array: np.ndarray[Any, Any]) -> None:
    assert copied(array.T, np.dtype("float32")).tobytes() == array.T.astype("float32", order="C").tobytes()


@pytest.mark.parametrize("shape", [(64, 784), (2048,), (3, 5, 7, 100)])
def test_what_is_lent_is_aligned_and_whole(shape: tuple[int, ...]) -> None:
    array = empty(shape, np.dtype("float32"))
    assert is_lent(array)
    assert array.ctypes.data % 64 == 0
    assert array.flags.c_contiguous
    assert array.flags.writeable
    for view in (array[1:], array[:1], array.reshape(-1), array.T, array.view("int32"), array.copy()):
        assert not is_lent(view)


def test_small_arrays_and_those_of_others_are_not_lent() -> None:
    assert not is_lent(empty((4, 4), np.dtype("float32")))
    assert not is_lent(np.zeros((64, 784), "float32"))


def test_copies_of_batches_of_any_loader_are_lent_too() -> None:
    reused = np.ones((64, 50), "float32")
    one, other = (fresh((reused, None)) for _ in range(2))
    assert is_lent(one[0])
    assert one[1] is None
    assert not np.shares_memory(one[0], other[0])
    assert not np.shares_memory(one[0], reused)
    assert np.array_equal(one[0], reused)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_a_loader_are_lent_and_no_two_share_memory(shuffle: bool) -> None:
    data = np.random.default_rng(2).normal(size=(100, 300)).astype("float32")
    batches = list(DataLoader(data, 32, shuffle=shuffle))
    assert [is_lent(batch) for batch in batches] == [True, True, True, False]
    for number, batch in enumerate(batches):
        assert not any(np.shares_memory(batch, other) for other in (data, *batches[:number]))
    seen = np.concatenate(batches)
    assert np.array_equal(np.sort(seen, axis=0), np.sort(data, axis=0))
