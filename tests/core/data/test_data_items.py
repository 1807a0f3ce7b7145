"""A `DataLoader` over datasets of items, arrays in files, with transforms, threads and processes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import types
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.loaded_data import FailingAt, Squares, Troubled, Witness, jittered

import multilearn as ml
from multilearn.data import permutation
from multilearn.errors import ConfigurationError, DataError
from multilearn.seeding.order import derived_seed, item_stream
from multilearn.seeding.streams import seeded_globals

WAYS: list[dict[str, Any]] = [
    {},
    {"prefetch": 3},
    {"num_workers": 3, "workers": "thread"},
    {"num_workers": 1},
]
IN_THIS_PROCESS = WAYS[:3]
ARRAYS = np.arange(46, dtype=np.float32).reshape(23, 2), np.arange(23)


def assert_equal(batches: Any, expected: Any) -> None:
    for batch, wanted in zip(batches, expected, strict=True):
        for array, same in zip(batch, wanted, strict=True):
            assert array.dtype == same.dtype
            np.testing.assert_array_equal(array, same)


def mapped_memory() -> int:
    """How many bytes of files this process has in memory."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile:")]
    return 1024 * int(line.split()[1])


def children() -> set[str]:
    """The processes that this one has started and not collected, but for that in which other tests run commands."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {pid for pid in found if b"warm_command" not in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_items_are_stacked_in_the_order_of_the_epoch() -> None:
    order = permutation(11, 3, 2)
    for number, (x, y) in enumerate(ml.DataLoader(Squares(11), 4, shuffle=True).iterate(3, 2)):
        items = order[4 * number : 4 * number + 4]
        assert x.tolist() == [[i, i] for i in items]
        assert y.tolist() == [i * i for i in items]


def test_items_may_be_nested_and_have_scalars_lists_and_nothing() -> None:
    pair = namedtuple("pair", "one two")
    items = [({"a": i, "b": [i, i + 1]}, pair(float(i), np.bool_(i)), None) for i in range(3)]
    ((x, y, nothing),) = ml.DataLoader(items, 3)
    assert x["a"].tolist() == [0, 1, 2] and x["b"].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert isinstance(y, pair) and y.one.tolist() == [0.0, 1.0, 2.0] and y.two.tolist() == [False, True, True]
    assert nothing is None


def test_a_list_of_arrays_as_an_item_is_a_tuple_of_columns() -> None:
    class Pairs(Squares):
        def __getitem__(self, index: int) -> Any:
            return [np.full(2, index), index]

    ((x, y),) = ml.DataLoader(Pairs(3), 3)
    assert x.shape == (3, 2) and y.tolist() == [0, 1, 2]


def test_a_dataset_that_loads_several_items_at_once_is_asked_once_for_each_batch() -> None:
    asked = []

    class AtOnce(Squares):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            asked.append(indices)
            return [self[index] for index in indices]

    assert_equal(ml.DataLoader(AtOnce(5), 2).iterate(1, 1), ml.DataLoader(Squares(5), 2).iterate(1, 1))
    assert asked == [[0, 1], [2, 3], [4]]


def test_what_is_skipped_is_not_loaded() -> None:
    loaded = []

    class Watched(Squares):
        def __getitem__(self, index: int) -> Any:
            loaded.append(index)
            return super().__getitem__(index)

    list(ml.DataLoader(Watched(10), 3).iterate(1, 1, 2))
    assert loaded == [6, 7, 8, 9]


def test_a_transform_gets_one_item_at_a_time_of_arrays_too() -> None:
    def doubled(item: Any) -> Any:
        x, y = item
        assert x.shape == (2,) and y.shape == ()
        return x * 2, int(y), x.sum()

    batches = list(ml.DataLoader(ARRAYS, 10, transform=doubled))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    x, y, total = batches[1]
    np.testing.assert_array_equal(x, ARRAYS[0][10:20] * 2)
    np.testing.assert_array_equal(y, ARRAYS[1][10:20])
    np.testing.assert_array_equal(total, ARRAYS[0][10:20].sum(axis=1))


@pytest.mark.parametrize("way", WAYS, ids=repr)
@pytest.mark.parametrize("data", [Squares(23), ARRAYS], ids=["items", "arrays"])
def test_batches_do_not_depend_on_who_makes_them(data: Any, way: dict[str, Any]) -> None:
    """Each item's random numbers are those of (seed, epoch, item), also where an epoch is entered in the middle."""
    loader = ml.DataLoader(data, 5, shuffle=True, transform=jittered, **way)
    order = permutation(23, 7, 2)
    with loader.kept_working():
        parts = [(start, list(loader.iterate(7, 2, start))) for start in (0, 3)]
    for start, batches in parts:
        assert len(batches) == 5 - start
        for number, (x, y) in enumerate(batches, start):
            for row, item in enumerate(order[5 * number : 5 * number + 5]):
                given = data[item] if isinstance(data, Squares) else (data[0][item], data[1][item])
                np.testing.assert_array_equal(x[row], given[0] + item_stream(7, 2, int(item)).normal(size=2))
                assert y[row] == given[1]


def test_the_streams_of_items_epochs_and_seeds_are_all_different() -> None:
    draws = {item_stream(s, e, i).integers(2**62) for s in (1, 2) for e in (1, 2) for i in range(50)}
    assert len(draws) == 200
    assert len({derived_seed(s, e, n) for s in (1, 2) for e in (1, 2) for n in range(50)}) == 200


def test_streams_are_put_back_after_an_error_too() -> None:
    ml.set_seed(3)
    before = np.random.get_state()[1].tolist()
    with pytest.raises(ZeroDivisionError), seeded_globals(1, 2):
        np.random.rand()
        1 / 0  # noqa: B018
    assert np.random.get_state()[1].tolist() == before


@given(count=st.integers(1, 30), size=st.integers(1, 9), ahead=st.integers(0, 5), threads=st.integers(0, 3))
def test_threads_keep_the_order(count: int, size: int, ahead: int, threads: int) -> None:
    way = {"num_workers": threads, "workers": "thread", "prefetch": max(ahead, min(threads, 1))}
    loader = ml.DataLoader(Squares(count), size, shuffle=True, **way)
    assert_equal(loader.iterate(1, 1), ml.DataLoader(Squares(count), size, shuffle=True).iterate(1, 1))


@pytest.mark.parametrize("way", [{"prefetch": 2}, {"num_workers": 2, "workers": "thread", "prefetch": 3}], ids=repr)
def test_no_more_than_prefetch_batches_are_made_ahead(way: dict[str, Any]) -> None:
    made: list[int] = []

    class Watched(Squares):
        def __getitem__(self, index: int) -> Any:
            made.append(index)
            return super().__getitem__(index)

    for number, _ in enumerate(ml.DataLoader(Watched(20), 1, **way).iterate(1, 1)):
        assert len(made) <= number + 1 + way["prefetch"]
    assert sorted(made) == list(range(20))


@pytest.mark.parametrize("way", IN_THIS_PROCESS, ids=repr)
def test_an_item_that_does_not_load_is_named_and_what_it_met_is_the_cause(way: dict[str, Any]) -> None:
    batches = ml.DataLoader(FailingAt(9), 2, **way).iterate(1, 1)
    assert [next(batches)[1].tolist() for _ in range(2)] == [[0, 1], [4, 9]]
    with pytest.raises(DataError, match=r"could not load item 5, in batch 2. Received: KeyError: 'five'") as raised:
        next(batches)
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("way", IN_THIS_PROCESS, ids=repr)
def test_an_item_that_cannot_be_transformed_is_named(way: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"could not transform item 0, in batch 0. Received: ZeroDivisionError"):
        list(ml.DataLoader(Squares(9), 2, transform=lambda item: 1 // item[1], **way))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([(np.zeros(2),), (np.zeros(3),)], r"item 0 has shape \(2,\) in item\[0\].*item 1"),
        ([{"a": 1}, {"b": 1}], r"item 0 has the keys 'a' in item.*item 1"),
        ([(1, 2), (1,)], "item 0 has 2 columns in item.*item 1"),
        ([(1, None), (1, 2)], r"item 0 has None in item\[1\].*item 1"),
        ([(1, "text"), (1, 2)], r"item 0 has text of shape \(\) in item\[1\].*item 1"),
        ([(1, 2), (1, "text")], r"made of numbers.*Received: item\[1\]: text \(str\)"),
    ],
    ids=["shapes", "keys", "columns", "none", "numbers after text", "text after numbers"],
)
def test_items_that_are_not_alike_are_refused_by_name(items: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(ml.DataLoader(items, 2))


def test_an_error_in_a_process_has_its_item_and_traceback_and_a_kill_does_not_hang() -> None:
    # one batch ahead: with more, the end at 7 may come before the error at 5 has been raised
    loader = ml.DataLoader(Troubled(9), 1, num_workers=1, prefetch=1)
    with loader.kept_working():
        batches = loader.iterate(1, 1, 4)
        assert next(batches)[1].tolist() == [16]
        with pytest.raises(DataError, match=r"could not load item 5, in batch 5. Received: KeyError: 'five'") as raised:
            next(batches)
        assert isinstance(raised.value.__cause__, KeyError)
        assert "raise KeyError" in raised.value.__cause__.__notes__[0]
        with pytest.raises(DataError, match=r"item 6, in batch 6. Received: Odd: oddly") as raised:
            next(loader.iterate(1, 1, 6))
        assert raised.value.__cause__ is None and "raise Odd" in raised.value.__notes__[0]
        with pytest.raises(DataError, match=r"worker process must live.*signal 9\) at batch 7, items \[7\]"):
            next(loader.iterate(1, 1, 7))
    assert children() == set()


@dataclass(frozen=True)
class Witnessed:
    """Two epochs out of two processes, which processes there were, and are, and the same epochs made here."""

    elsewhere: list[list[Any]]
    here: list[list[Any]]
    during: set[str]
    afterwards: set[str]


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory: pytest.TempPathFactory) -> Witnessed:
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.arange(40, dtype=np.int32).reshape(10, 4))
    away, own = (ml.DataLoader(Witness(path), 2, num_workers=count) for count in (2, 0))
    with away.kept_working():
        elsewhere = [list(away.iterate(5, epoch)) for epoch in (1, 2)]
        during = children()
    return Witnessed(elsewhere, [list(own.iterate(5, epoch)) for epoch in (1, 2)], during, children())


def test_several_processes_work_from_epoch_to_epoch_and_none_is_this_one(witnessed: Witnessed) -> None:
    everyone = {str(pid) for epoch in witnessed.elsewhere for batch in epoch for pid in batch["pid"]}
    assert everyone <= witnessed.during and len(witnessed.during) == 2
    assert str(os.getpid()) not in everyone
    assert witnessed.afterwards == set()


def test_draws_from_global_generators_are_the_same_wherever_they_are_made(witnessed: Witnessed) -> None:
    for one, other in zip(witnessed.elsewhere, witnessed.here, strict=True):
        assert_equal([batch["drawn"] for batch in one], [batch["drawn"] for batch in other])
    draws = [float(x) for epoch in witnessed.here for batch in epoch for column in batch["drawn"] for x in column]
    assert len(set(draws)) == len(draws)


def test_draws_from_global_generators_move_nobody_elses() -> None:
    ml.set_seed(3)
    before = np.random.get_state()[1].tolist()
    list(ml.DataLoader(Squares(4), 2, transform=lambda item: np.random.rand()).iterate(5, 2))
    assert np.random.get_state()[1].tolist() == before


def test_a_dataset_on_a_file_is_sent_to_processes_without_its_content(witnessed: Witnessed) -> None:
    first = witnessed.elsewhere[0][0]
    assert first["row"].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert first["mapped"].tolist() == [True, True]


@pytest.mark.parametrize("way", WAYS[1:], ids=repr)
def test_whoever_leaves_in_the_middle_leaves_nothing_behind(way: dict[str, Any]) -> None:
    gc.collect()
    before = children(), threading.active_count(), len(os.listdir("/proc/self/fd"))
    batches = ml.DataLoader(Squares(50), 2, **way).iterate(1, 1)
    next(batches)
    assert threading.active_count() > before[1]
    batches.close()
    assert (children(), threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_two_ways_through_one_loader_at_the_same_time() -> None:
    loader = ml.DataLoader(Squares(10), 2, num_workers=2, workers="thread")
    for (one, _), (other, _) in zip(loader.iterate(1, 1), loader.iterate(1, 1, 2), strict=False):
        np.testing.assert_array_equal(one + 4, other)


def test_what_cannot_be_sent_to_a_process_is_refused_with_the_remedy() -> None:
    loader = ml.DataLoader(Squares(4), 2, num_workers=1, transform=lambda item: item)
    with pytest.raises(ConfigurationError, match=r'must be picklable.*lambda.*workers="thread"'):
        next(loader.iterate(1, 1))
    assert children() == set()


SCRIPT = """
import multilearn as ml

class Mine:
    def __len__(self):
        return 4
    def __getitem__(self, index):
        print("loading", index)
        return float(index)

def main():
    print([batch.tolist() for batch in ml.DataLoader(Mine(), 2, num_workers=1)])

"""


@pytest.mark.parametrize("guard", ['if __name__ == "__main__":\n    main()', "main()"], ids=["guarded", "unguarded"])
def test_a_script_may_define_its_dataset_if_importing_it_does_not_train(
    tmp_path: Path, environment: dict[str, str], guard: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + guard)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    if "if" in guard:
        # what data prints is not taken for a batch, and gets into no output
        expected = 0, "[[0.0, 1.0], [2.0, 3.0]]\n", "".join(f"loading {index}\n" for index in range(4))
        assert (done.returncode, done.stdout, done.stderr) == expected
    else:
        assert done.returncode == 1
        assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_what_is_defined_at_the_prompt_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", prompt)
    exec(SCRIPT, vars(prompt))
    with pytest.raises(ConfigurationError, match="at the prompt"):
        next(ml.DataLoader(prompt.Mine(), 2, num_workers=1).iterate(1, 1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(400, dtype=np.int32).reshape(100, 4))
    return path


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("way", WAYS[:3], ids=repr)
def test_an_array_in_a_file_is_read_batch_by_batch(file: Path, shuffle: bool, way: dict[str, Any]) -> None:
    rows = np.load(file, mmap_mode="r")
    mapped, loaded = (ml.DataLoader((x, np.arange(100)), 7, shuffle=shuffle, **way) for x in (rows, np.load(file)))
    assert mapped.whole()[0] is rows
    batches = list(mapped.iterate(3, 1))
    assert {type(batch[0]) for batch in batches} == {np.ndarray}
    assert_equal(batches, loaded.iterate(3, 1))


def test_labels_in_a_large_file_are_not_read_beforehand(tmp_path: Path) -> None:
    """A sparse file of 1 GiB: nobody reads it whole."""
    large = np.memmap(tmp_path / "large", np.float32, "w+", shape=(1 << 20, 256))
    assert ml.DataLoader((large, np.zeros(1 << 20, np.int8)), 4, shuffle=True).whole() is not None
    loader = ml.DataLoader((np.zeros(1 << 20, np.int8), large), 4, shuffle=True)
    assert loader.whole() is None
    assert next(loader.iterate(1, 1))[1].shape == (4, 256)


def test_the_pages_of_a_file_that_was_read_are_given_back(tmp_path: Path) -> None:
    """16 MiB are read, and the process holds next to nothing of them."""
    rows = np.memmap(tmp_path / "rows", np.uint8, "w+", shape=(1 << 12, 1 << 12))
    before = mapped_memory()
    assert sum(len(batch) for batch in ml.DataLoader(rows, 256)) == 1 << 12
    assert mapped_memory() - before < 4 << 20


def test_what_is_written_into_a_private_copy_of_a_file_stays_there(file: Path) -> None:
    rows = np.load(file, mmap_mode="c")
    rows[0, 0] = 7
    for _ in range(2):
        assert next(iter(ml.DataLoader(rows, 4)))[0].tolist() == [7, 1, 2, 3]


def test_nobody_who_writes_into_a_batch_changes_the_data() -> None:
    x, y = np.arange(6.0), np.arange(6)
    for shuffle in (False, True):
        for batch in ml.DataLoader((x, y), 4, shuffle=shuffle):
            for array in batch:
                array[:] = -1
    assert x.tolist() == y.tolist() == list(range(6))


def test_only_what_is_in_memory_as_it_is_trained_on_is_checked_beforehand() -> None:
    assert ml.DataLoader(ARRAYS, 4, transform=jittered).whole() is None
    assert ml.DataLoader(Squares(4), 4).whole() is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_workers": -1}, "num_workers must be a whole number of at least 0"),
        ({"num_workers": 1.0}, "num_workers must be a whole number"),
        ({"prefetch": -1}, "prefetch must be a whole number of at least 0"),
        ({"prefetch": 0, "num_workers": 1}, "prefetch must be a whole number of at least 1"),
        ({"workers": "processes"}, 'workers is "process" or "thread"'),
    ],
    ids=repr,
)
def test_bad_arguments_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ml.DataLoader(ARRAYS, 4, **wrong)


def test_what_already_yields_batches_and_what_has_no_length_are_refused() -> None:
    class NoLength:
        def __getitem__(self, index: int) -> Any:
            return index

    with pytest.raises(DataError, match="Pass an iterable that already yields batches to fit directly"):
        ml.DataLoader((batch for batch in [ARRAYS]), 4)
    with pytest.raises(DataError, match="must have a length"):
        ml.DataLoader(NoLength(), 4)
