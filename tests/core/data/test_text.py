"""Text in batches: arrays of `str` or `bytes`, out of every loader, the same ones wherever they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from support.loaded_data import Words

import multilearn as ml
from multilearn.data import as_loader, batches_of
from multilearn.data.fingerprint import data_facts

# of several lengths; numpy's own types cut the zero off the end
TEXTS = ["one", "", "thrée", "\U0001f600" * 40, "five", "six", "seven"]
NUMBERS = np.arange(7)


def spans() -> list[slice]:
    return [slice(start, start + 3) for start in range(0, 7, 3)]


def columns(texts: Any, **options: Any) -> ml.DataLoader:
    return ml.DataLoader((texts, NUMBERS), 3, **options)


def generated(texts: Any) -> Callable[[], Iterator[Any]]:
    return lambda: ((texts[span], NUMBERS[span]) for span in spans())


ENCODED = [text.encode() for text in TEXTS]
LOADERS: dict[str, tuple[Any, list[Any]]] = {
    "str of numpy": (columns(np.array(TEXTS)), TEXTS),
    "bytes of numpy": (columns(np.array(ENCODED)), ENCODED),
    "str of numpy without a length": (columns(np.array(TEXTS, np.dtypes.StringDType())), TEXTS),
    "objects": (columns(np.array(TEXTS, object), prefetch=2), TEXTS),
    "objects of bytes": (columns(np.array(ENCODED, object)), ENCODED),
    "a transform": (columns(np.array(TEXTS), transform=lambda item: (item[0], item[1])), TEXTS),
    "items": (ml.DataLoader(list(zip(TEXTS, NUMBERS, strict=True)), 3), TEXTS),
    "items of worker processes": (ml.DataLoader(Words(TEXTS), 3, num_workers=1), TEXTS),
    "a list of batches": ([(TEXTS[span], NUMBERS[span]) for span in spans()], TEXTS),
    "a generator of lists": (generated(TEXTS), TEXTS),
    "a generator of tuples": (generated(tuple(TEXTS)), TEXTS),
    "a generator of bytes": (generated(ENCODED), ENCODED),
}


@pytest.mark.parametrize(("data", "expected"), LOADERS.values(), ids=LOADERS.keys())
def test_every_loader_hands_out_texts_as_they_are(data: Any, expected: list[Any]) -> None:
    with batches_of(as_loader(data, "training"), 1, 1) as given:
        batches = list(given)
    assert all(x.dtype == object and x.shape == y.shape for x, y in batches)
    assert [text for x, _ in batches for text in x] == expected
    assert {type(text) for x, _ in batches for text in x} <= {str, bytes}


def test_texts_are_copied_and_keep_zeros_and_shapes() -> None:
    texts = np.array([["one\0", "two"], ["three", ""]], object)
    loader = as_loader([{"pair": texts}, {"pair": [["one\0", b"\0"]]}], "training")
    with batches_of(loader, 1, 1) as batches:
        first = next(batches)["pair"]
        texts[:] = "changed"
        assert first.tolist() == [["one\0", "two"], ["three", ""]]
        assert next(batches)["pair"].tolist() == [["one\0", b"\0"]]
    (items,) = ml.DataLoader([(np.array(["a", "long one"]), b"\0")] * 2, 2)
    assert items[0].tolist() == [["a", "long one"]] * 2
    assert items[1].tolist() == [b"\0"] * 2


def test_the_fingerprint_of_texts_is_that_of_their_bytes_whatever_they_are_in() -> None:
    said = sha256(b"".join(len(text).to_bytes(8, "little") + text for text in ENCODED)).hexdigest()
    expected = {"dtype": "text", "shape": [7], "sha256": said}
    for texts in (np.array(TEXTS), np.array(TEXTS, object), np.array(ENCODED), np.array(ENCODED, object)):
        assert data_facts(columns(texts), None)["all"]["x"] == expected
    for data in ([(TEXTS, NUMBERS)], ml.DataLoader(list(zip(ENCODED, NUMBERS, strict=True)), 2)):
        assert data_facts(as_loader(data, "training"), None)["all"]["x"] == expected
    joined = data_facts(columns(np.array(["onet", "wo", *TEXTS[2:]])), None)["all"]["x"]
    assert joined != data_facts(columns(np.array(["one", "two", *TEXTS[2:]])), None)["all"]["x"]
    assert data_facts(columns(np.array(["\ud800"] * 7)), None)["all"]["x"]["dtype"] == "text"


def test_of_much_text_a_sample_is_read() -> None:
    texts = np.array(["x" * (1 << 20)] * 300, object)
    assert list(data_facts(ml.DataLoader(texts, 8), None)) == ["32 of 300 items"]
