"""Copies of a model's state: one memory from checkpoint to checkpoint, and never that of a copy still in use."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from support.training import ids, learner, numbers

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder, HostTensor, MpkGzRecorder
from multilearn.events import Position
from multilearn_keras import Classification
from multilearn_keras.state.host_copies import HostCopies
from multilearn_keras.state.transfer import record_of

ITEMS = 20_000
FLOAT = np.dtype("float32")


def address(array: Any) -> int:
    return array.__array_interface__["data"][0]


def kept_copies() -> HostCopies:
    """Past the first round, after which memory is kept."""
    copies = HostCopies()
    copies.begin()
    copies.begin()
    return copies


def test_the_memory_of_a_copy_that_nobody_holds_is_used_again() -> None:
    copies, source = kept_copies(), np.arange(ITEMS, dtype=FLOAT)
    first = copies.copied("a", source, FLOAT)
    where = address(first)
    assert not np.shares_memory(first, source)
    del first
    again = copies.copied("a", source + 1, FLOAT)
    assert address(again) == where
    np.testing.assert_array_equal(again, source + 1)


def test_a_copy_or_a_view_of_one_that_is_held_keeps_its_values() -> None:
    copies, source = kept_copies(), np.arange(ITEMS, dtype=FLOAT).reshape(100, -1)
    raw = HostTensor.of(copies.copied("a", source, FLOAT)).raw[8:]
    gc.collect()
    following = copies.copied("a", source * 2, FLOAT)
    assert not np.shares_memory(raw, following)
    np.testing.assert_array_equal(raw.view(FLOAT), source.ravel()[2:])


def test_a_state_that_is_copied_once_leaves_no_memory_behind() -> None:
    copies, source = HostCopies(), np.arange(ITEMS, dtype=FLOAT)
    copies.begin()
    first = copies.copied("a", source, FLOAT)
    assert first.base is None
    copies.begin()
    assert not np.shares_memory(first, copies.copied("a", source, FLOAT))


def test_another_size_under_a_known_key_has_memory_that_fits() -> None:
    copies = kept_copies()
    copies.copied("a", np.zeros(ITEMS, FLOAT), FLOAT)
    grown = copies.copied("a", np.ones((2, ITEMS), FLOAT), FLOAT)
    assert grown.shape == (2, ITEMS) and grown.min() == 1


def test_integers_that_do_not_fit_keep_their_lower_bits_and_layouts_become_contiguous() -> None:
    copies = kept_copies()
    wide = np.full(ITEMS, -1, np.int64)
    assert copies.copied("a", wide, np.dtype("uint32"))[0] == 2**32 - 1
    turned = np.arange(ITEMS, dtype=FLOAT).reshape(100, -1).T
    copy = copies.copied("b", turned, FLOAT)
    assert copy.flags.c_contiguous
    np.testing.assert_array_equal(copy, turned)


def test_records_of_variables_use_one_memory_and_do_not_share_it_with_the_variables() -> None:
    for dtype in ("float32", "float16", "bfloat16"):
        variable = keras.Variable(np.arange(ITEMS) % 97, dtype=dtype)
        copies = HostCopies()
        where = []
        for value in (1.0, 2.0, 3.0):
            variable.assign(np.full(ITEMS, value))
            record = record_of({"w": variable}, copies=copies)
            where.append(address(record["w"].array))
            variable.assign(np.zeros(ITEMS))
            assert (record["w"].numpy() == value).all()
            del record
        assert where[1] == where[2]


class Slow(MpkGzRecorder):
    """Writes when let through, and says what it was given and what it wrote."""

    entered, opened = threading.Event(), threading.Event()

    def write(self, file: Any, item: Any, metadata: Any) -> int:
        if metadata["part"] == "model":
            self.entered.set()
            assert self.opened.wait(30)
        return super().write(file, item, metadata)


def test_a_save_that_is_being_written_is_not_overwritten_by_later_copies(tmp_path: Path) -> None:
    variable = keras.Variable(np.zeros(ITEMS), dtype="float32")
    copies, recorder = HostCopies(), Slow()
    folder = CheckpointFolder(tmp_path, recorder)
    for _ in range(2):
        record_of({"w": variable}, copies=copies)
    variable.assign(np.ones(ITEMS))
    parts = {"model": record_of({"w": variable}, copies=copies)}
    writing = threading.Thread(target=folder.save, args=(Position(1), parts))
    writing.start()
    assert recorder.entered.wait(30)
    del parts
    # nobody but the thread that writes holds the copy now
    for value in range(2, 20):
        variable.assign(np.full(ITEMS, float(value)))
        record_of({"w": variable}, copies=copies)
    recorder.opened.set()
    writing.join()
    assert (folder.load(Position(1))["model"]["w"].array == 1).all()


class Noting(MpkGzRecorder):
    """Notes where the largest tensor of each model that it writes is."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "where", [])

    def write(self, file: Any, item: Any, metadata: Any) -> int:
        if metadata["part"] == "model":
            self.where.append(address(_largest(item).array))
        return super().write(file, item, metadata)


def _largest(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    found = [_largest(each) for each in item.values()]
    return max((each for each in found if isinstance(each, HostTensor)), key=lambda each: each.nbytes, default=None)


def test_a_run_copies_its_state_into_the_same_memory_from_save_to_save(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((100,)), layers.Dense(200), layers.Dense(2)])
    recorder = Noting()
    run = learner(tmp_path, Classification(model), "sgd", 0.01, num_epochs=5, with_file_checkpointer=(recorder,))
    run.fit(ml.DataLoader((numbers(8, 100), ids(2, 8)), 4))
    assert len(recorder.where) == 5
    assert len(set(recorder.where[2:])) == 1
