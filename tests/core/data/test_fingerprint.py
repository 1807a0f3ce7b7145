"""Which data a run had, as experiment.json says it: the same for the same values, however they came."""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.data import as_loader
from multilearn.data.fingerprint import data_facts, loader_facts
from multilearn.errors import DataError


def facts(data: Any) -> dict[str, Any]:
    return data_facts(as_loader(data, "training"), None)


def digits() -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(20 * 6, dtype=np.float32).reshape(20, 2, 3)
    return x, np.arange(20, dtype=np.int64) % 3


def test_arrays_are_known_by_type_shape_and_bytes() -> None:
    x, y = digits()
    assert facts(ml.DataLoader((x, y), 8)) == {
        "all": {
            "x": {"dtype": "float32", "shape": [20, 2, 3], "sha256": sha256(x.tobytes()).hexdigest()},
            "y": {"dtype": "int64", "shape": [20], "sha256": sha256(y.tobytes()).hexdigest()},
        }
    }


def test_the_same_items_have_one_fingerprint_however_they_come() -> None:
    x, y = digits()
    expected = facts(ml.DataLoader((x, y), 8))
    assert facts(ml.DataLoader((x, y), 3, shuffle=True, drop_last=True, num_workers=1, workers="thread")) == expected
    assert facts(ml.DataLoader([x, y], 8)) == expected
    assert facts(ml.DataLoader([(row, label) for row, label in zip(x, y, strict=True)], 8)) == expected
    assert facts([(x[start : start + 7], y[start : start + 7]) for start in range(0, 20, 7)]) == expected
    assert facts(ml.DataLoader((np.asfortranarray(x), np.repeat(y, 2)[::2]), 8)) == expected
    assert facts(ml.DataLoader((x.astype(">f4"), y.astype(">i8")), 8)) == expected
    assert facts(ml.DataLoader(x.tolist(), 8))["all"]["x"]["sha256"] == sha256(x.astype("f8").tobytes()).hexdigest()


def test_every_array_of_nested_data_has_its_own() -> None:
    x, y = digits()
    nested = ({"left": x, "right": x + 1}, y, np.ones(20))
    assert list(facts(ml.DataLoader(nested, 8))["all"]) == ["x['left']", "x['right']", "y", "sample_weight"]
    assert list(facts(ml.DataLoader({"a": x, "b": y}, 8))["all"]) == ["x['a']", "x['b']"]


def test_of_many_items_a_labelled_sample_is_read_in_whatever_form_they_are() -> None:
    x = np.arange(60_000, dtype=np.float32)
    places = [round(k * 59_999 // 255) for k in range(256)]
    digest = sha256(x[places].tobytes()).hexdigest()
    for data in (x, [(item,) for item in x]):
        (found,) = facts(ml.DataLoader(data, 8))["256 of 60000 items"].values()
        assert found == {"dtype": "float32", "shape": [256], "sha256": digest}


def test_of_a_large_file_a_labelled_sample_is_read(tmp_path: Path) -> None:
    whole = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(3000, 1 << 14))  # 47 MiB, of which nothing is written
    whole[0], whole[-1] = 7, 9
    (of,) = facts(ml.DataLoader(whole, 8))
    assert of == "256 of 3000 items"
    places = [round(k * 2999 // 255) for k in range(256)]
    assert (places[0], places[-1]) == (0, 2999)
    expected = sha256(whole[places].tobytes()).hexdigest()
    assert facts(ml.DataLoader(whole, 8))[of]["x"] == {"dtype": "uint8", "shape": [256, 1 << 14], "sha256": expected}


def test_a_small_file_is_like_an_array(tmp_path: Path) -> None:
    x, y = digits()
    mapped = np.memmap(tmp_path / "x", x.dtype, "w+", shape=x.shape)
    mapped[:] = x
    assert facts(ml.DataLoader((mapped, y), 8)) == facts(ml.DataLoader((x, y), 8))


class Counted:
    """A dataset that counts what is loaded."""

    def __init__(self) -> None:
        self.loaded = 0

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        self.loaded += 1
        x, y = digits()
        return x[index], y[index]


def test_of_what_must_be_loaded_only_the_batch_that_was_looked_at_is_known() -> None:
    dataset = Counted()
    loader = ml.DataLoader(dataset, 8)
    first = next(iter(loader))
    loaded = dataset.loaded
    x, y = digits()
    assert data_facts(loader, first) == {
        "first batch of 8": {
            "x": {"dtype": "float32", "shape": [8, 2, 3], "sha256": sha256(x[:8].tobytes()).hexdigest()},
            "y": {"dtype": "int64", "shape": [8], "sha256": sha256(y[:8].tobytes()).hexdigest()},
        }
    }
    assert dataset.loaded == loaded


def test_of_a_transform_its_results_tell() -> None:
    x, y = digits()

    def doubled(item: Any) -> Any:
        return item[0] * 2, item[1]

    loader = ml.DataLoader((x, y), 8, transform=doubled)
    first = next(iter(loader))
    known = data_facts(loader, first)
    assert known["all"] == facts(ml.DataLoader((x, y), 8))["all"]
    assert known["first batch of 8"]["x"]["sha256"] == sha256((x[:8] * 2).tobytes()).hexdigest()
    assert loader_facts(loader, 3, first)["transform"].endswith("doubled")


def test_ragged_items_and_odd_things_are_no_obstacle() -> None:
    ragged = [(np.zeros(n), n) for n in range(1, 5)]
    loader = ml.DataLoader(ragged, 2, transform=lambda item: (np.resize(item[0], 4), item[1]))
    assert list(data_facts(loader, next(iter(loader)))) == ["first batch of 2"]
    batches = as_loader(lambda: iter([]), "training")
    said = data_facts(batches, (np.zeros((2, 3)), None, "text", object(), np.array(["a", None], object)))
    assert [found["dtype"] for found in said["first batch of 2"].values()] == ["float64", "text", "object", "object"]


class Own:
    """A loader of one's own."""

    def __init__(self, said: Any = None) -> None:
        self.said = said

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        yield from [toy.arrays(8), toy.arrays(8)][start:]


class Named(Own):
    def fingerprint(self) -> Any:
        return self.said


def test_a_loader_of_ones_own_may_say_which_data_it_has(tmp_path: Path) -> None:
    assert data_facts(Named("corpus 3"), toy.arrays(8)) == {"its own": "corpus 3"}
    assert list(data_facts(Own(), toy.arrays(8))) == ["first batch of 8"]
    with pytest.raises(DataError, match="must return a text"):
        toy.fit(toy.builder(tmp_path / "run"), Named(3))
    assert not (tmp_path / "run").exists()


def test_nothing_is_drawn_or_used_up(tmp_path: Path) -> None:
    """A generator gives all of its batches, and the global streams stay where they are."""
    x, y = toy.arrays(24)
    loader = ml.DataLoader((x, y), 8, shuffle=True)
    random.seed(1), np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tobytes()
    facts(loader)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before
    generator = ((x[start : start + 8], y[start : start + 8]) for start in range(0, 24, 8))
    learner = toy.fit(toy.builder(tmp_path / "run", epochs=1), generator)
    (session,) = toy.experiment(learner.directory)["sessions"]
    assert list(session["data"]["train"]) == ["first batch of 8"]
    assert session["loaders"]["train"] == {"batches": None, "batch_size": 8}
    assert len((learner.directory / "train/epoch-1/Loss.log").read_text().splitlines()) == 3 + 1
