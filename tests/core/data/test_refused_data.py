"""What is no number in a batch is named, with its place and what to do: rule, received, remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import multilearn as ml
from multilearn.data import as_loader, batches_of
from multilearn.errors import DataError

Y = np.arange(4, dtype="float32")
DATES = np.arange("2020-01-01", "2020-01-05", dtype="datetime64[D]")


@dataclasses.dataclass
class Pair:
    x: Any


REFUSED: dict[str, tuple[Any, str]] = {
    "text and numbers": (np.array(["a", 1, "c", "d"], object), r"text among other objects \(int, str\)\. Give"),
    "missing text": (np.array([b"a", None, b"c", b"d"], object), r"text among other .*NoneType, bytes\).*fill in"),
    "dates": (DATES, r"dates or times \(datetime64\[D\]\)\. Give a number .*timedelta64"),
    "durations": (DATES - DATES[0], r"dates or times \(timedelta64\[D\]\)"),
    "ragged": (np.array([[1], [2, 3], [4], [5]], object), r"rows of different lengths.*Pad"),
    "objects": (np.array([1, 2.0, 3, 4], object), r"Python objects \(float, int\).*astype\('float32'\)"),
    "missing": (np.array([1, None, 3, 4], object), r"Python objects \(NoneType, int\).*astype\('float32'\)"),
    "decimals": (np.array([Decimal(1)] * 4), r"Python objects \(Decimal\)"),
    "structured": (np.zeros(4, [("a", "f4"), ("b", "i4")]), r"structured array.*as a dict"),
    "masked": (np.ma.masked_array(np.arange(4.0), [0, 0, 1, 0]), r"masked values.*filled"),
    "a class": (Pair(Y), r"a Pair\. Give arrays"),
    "a set": ({1, 2}, r"a set\. Give arrays"),
}


class Own:
    """A loader of the user's own with one batch."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        yield self._batch


def first(loader: Any) -> Any:
    with batches_of(as_loader(loader, "training"), 1, 1) as batches:
        return next(iter(batches))


@pytest.mark.parametrize(("leaf", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_holds_no_numbers_is_refused_with_its_place_and_a_remedy(leaf: Any, said: str) -> None:
    rule = r"A batch is made of numbers: arrays of them.* Received: "
    for given in (Own(({"a": Y, "b": leaf}, Y)), [({"a": Y, "b": leaf}, Y)], lambda: iter([({"a": Y, "b": leaf}, Y)])):
        with pytest.raises(DataError, match=rule + r"batch\[0\]\['b'\]: (an? )?(array (of|with) )?" + said):
            first(given)
    with pytest.raises(DataError, match=rule + r"data\[0\]: (an? )?(array (of|with) )?" + said):
        list(ml.DataLoader((leaf, Y), 2))
    with pytest.raises(DataError, match=rule + r"item\[0\]: (an? )?(array (of|with) )?" + said):
        list(ml.DataLoader([(leaf, 1)] * 2, 2))


def test_lists_of_text_and_numbers_and_of_unequal_rows_are_refused() -> None:
    # numpy makes text of all of them
    for mixed in (["a", 1], [b"a", 1.0], [["a", "b"], [1, 2]], ["a", None]):
        with pytest.raises(DataError, match=r"batch\[0\]: text among other objects"):
            first([(mixed, Y[:2])])
    with pytest.raises(DataError, match=r"data: text among other objects"):
        ml.DataLoader(["a", 1], 2)
    for ragged in ([[1], [2, 3]], [["a"], ["b", "c"]]):
        with pytest.raises(DataError, match=r"batch\[0\]: rows of different lengths.*Pad"):
            first([(ragged, Y[:2])])
    with pytest.raises(DataError, match=r"None in place of a batch"):
        first(Own(None))


def test_sparse_matrices_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    for leaf in (sparse.csr_matrix(np.eye(4)), sparse.coo_array(np.eye(4))):
        with pytest.raises(DataError, match=r"batch\[0\]: a sparse \w+\. Make it dense.*toarray"):
            first([(leaf, Y)])


def test_columns_of_a_data_frame_are_named() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": [1, 2, 3, 4], "b": [0.5, 1, 2, 3]})
    assert first(ml.DataLoader((pandas.Series(list("abcd")), Y), 4))[0].tolist() == list("abcd")
    np.testing.assert_array_equal(first(ml.DataLoader((frame, Y), 4))[0], frame.to_numpy())
    told = {
        r"several or nullable types \(int64, float64, bool\).*to_numpy\(\"float32\"\)": frame.assign(
            c=[True, False, True, False]
        ),
        r"several or nullable types \(Int64, float64\).*na_value": frame.astype({"a": "Int64"}),
        r"no numbers: 'c' \(category\), 'd' \(datetime64.*Encode these": frame.assign(
            c=pandas.Categorical(list("abca")), d=DATES
        ),
        r"a column of categories.*cat\.codes": pandas.Series(pandas.Categorical(list("abca"))),
        r"Series of NAType, bool \(boolean\).*na_value": pandas.Series([True, None, True, False], dtype="boolean"),
        r"text among other objects.*fill in": pandas.Series(["a", "b", None, "d"]),
        r"no numbers: 'a'.*Encode these": pandas.DataFrame({"a": list("abcd")}),
        r"a column of categories": pandas.Categorical(list("abca")),
        r"dates or times": pandas.Series(pandas.date_range("2020", periods=4, tz="UTC")),
    }
    for said, leaf in told.items():
        for loader in (lambda leaf=leaf: ml.DataLoader((leaf, Y), 2), lambda leaf=leaf: Own((leaf, Y))):
            with pytest.raises(DataError, match=said):
                first(loader())


def test_getitems_must_return_an_item_for_each_index() -> None:
    class Short:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            raise NotImplementedError

        def __getitems__(self, indices: list[int]) -> list[int]:
            return indices[1:]

    with pytest.raises(DataError, match=r"one item for each index\. Received: 1 items for 2 indices, in batch 0"):
        list(ml.DataLoader(Short(), 2))
