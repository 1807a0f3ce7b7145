"""The processes of a world: which place a launcher gives one, what it has of a batch, and what it is refused for."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import multilearn as ml
from multilearn.data import as_loader, batches_of, flat
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.launch.process import ForwardedSignals, run_processes
from multilearn.metrics import Accuracy, Loss
from multilearn.metrics.store import MetricStore
from multilearn.protocols import ALONE, HostOutput, LaunchedRank, Moment, Shard, World, patience, rows_of

LAUNCHED = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "here", "MASTER_PORT": "29500"}


def world(rank: int, size: int) -> World:
    made = World()
    made.rank, made.size = rank, size
    return made


@given(st.integers(1, 300), st.integers(2, 9))
def test_every_row_is_one_process_s_or_all_have_all(total: int, size: int) -> None:
    rows = [rows_of(total, rank, size) for rank in range(size)]
    whole = {whole for _, _, whole in rows}
    assert len(whole) == 1
    if whole == {True}:
        assert [row[:2] for row in rows] == [(0, total)] * size
    else:
        assert [number for first, end, _ in rows for number in range(first, end)] == list(range(total))
        assert min(end - first for first, end, _ in rows) > 0
    if total % size == 0:
        assert whole == {False}


def test_only_a_launcher_that_says_everything_makes_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LAUNCHED, "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert LaunchedRank.of_environment() is None
    for name, text in LAUNCHED.items():
        assert LaunchedRank.of_environment() is None
        monkeypatch.setenv(name, text)
    assert LaunchedRank.of_environment() == LaunchedRank(1, 4, 1, 4, "here", 29500)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert LaunchedRank.of_environment() == LaunchedRank(1, 4, 1, 2, "here", 29500)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert LaunchedRank.of_environment() is None


@pytest.mark.parametrize(("name", "text"), [("RANK", "4"), ("RANK", "-1"), ("LOCAL_RANK", "x"), ("MASTER_PORT", "a")])
def test_a_place_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    for each, value in {**LAUNCHED, name: text}.items():
        monkeypatch.setenv(each, value)
    with pytest.raises(ConfigurationError, match=f"a RANK below WORLD_SIZE.*{name}={text}.*Unset them"):
        LaunchedRank.of_environment()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_patience_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MULTILEARN_PATIENCE", text)
    with pytest.raises(ConfigurationError, match="MULTILEARN_PATIENCE is a number of seconds"):
        patience()


def loaders() -> dict[str, Any]:
    x, y = np.random.default_rng(0).normal(size=(103, 3)).astype("float32"), np.arange(103)

    def jitter(item: Any, rng: np.random.Generator) -> Any:
        return item[0] + rng.normal(size=3).astype("float32"), item[1]

    return {
        "arrays, shuffled": lambda: ml.DataLoader((x, y), 16, shuffle=True),
        "arrays, in order": lambda: ml.DataLoader((x, y), 16),
        "items, transformed": lambda: ml.DataLoader(list(zip(x, y, strict=True)), 16, shuffle=True, transform=jitter),
        "threads": lambda: ml.DataLoader((x, y), 16, shuffle=True, num_workers=2, workers="thread"),
        "of another library": lambda: as_loader(
            [(x[k : k + 16], y[k : k + 16]) for k in range(0, 103, 16)], "training"
        ),
    }


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("name", loaders())
def test_the_parts_of_all_processes_are_the_batches(name: str, size: int) -> None:
    make = loaders()[name]
    for start in (0, 4):
        with batches_of(make(), 7, 2, start) as found:
            batches = list(found)
        parts: list[list[Shard]] = []
        for rank in range(size):
            with batches_of(make(), 7, 2, start, world(rank, size)) as found:
                parts.append(list(found))
        for batch, *of_ranks in zip(batches, *parts, strict=True):
            used = of_ranks[:1] if of_ranks[0].whole else of_ranks
            joined = [np.concatenate(leaves) for leaves in zip(*(flat(part.batch) for part in used), strict=True)]
            for leaf, expected in zip(joined, flat(batch), strict=True):
                np.testing.assert_array_equal(leaf, expected)
            assert {part.total for part in of_ranks} == {len(joined[0])}


def test_a_data_loader_loads_no_rows_but_its_own() -> None:
    loaded = []

    class Items:
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> np.ndarray[Any, Any]:
            loaded.append(index)
            return np.full(2, index)

    with batches_of(ml.DataLoader(Items(), 16), 0, 1, 0, world(1, 2)) as batches:
        deque(batches, maxlen=0)
    assert loaded == [*range(8, 16), *range(24, 32), *range(36, 40)]


def test_a_batch_that_is_measured_in_parts_has_the_values_of_the_whole() -> None:
    def measured(losses: Sequence[float], correct: int) -> dict[str, Any]:
        count = np.int32(len(losses))
        return {
            "Loss": {"loss": np.float32(np.mean(losses)), "count": count},
            "Accuracy": {"correct": np.int32(correct), "count": count},
        }

    metrics = (Loss(), Accuracy())
    store = MetricStore({Split.TRAIN: metrics})
    store.begin(Split.TRAIN)
    parts = HostOutput(measured([1.0, 2.0, 3.0], 2), (measured([6.0], 1),))
    for output in (parts, HostOutput(measured([8.0, 10.0], 0))):
        readings = store.fold(Split.TRAIN, output, Moment(0.1, 0.0, 0.0))
    assert readings["Loss"].value == 9.0
    whole = store.end(Split.TRAIN, 1)
    assert whole["Loss"].value == pytest.approx(30 / 6) and whole["Accuracy"].value == pytest.approx(3 / 6)


def test_what_differs_between_processes_is_named() -> None:
    class Two(World):
        rank, size = 0, 2

        def gather(self, value: bytes) -> Sequence[bytes]:
            return [value, value.replace(b"64", b"32")]

    Two().require_same("settings", {"num_epochs": 3}, "")
    with pytest.raises(ConfigurationError, match=r"batch_size: 64 on rank 0, and 32 on rank 1\."):
        Two().require_same("settings", {"num_epochs": 3, "batch_size": 64}, "")
    ALONE.require_same("settings", {"batch_size": 64}, "")


def run(script: str, capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[int, str, str]:
    environments = [{"RANK": str(rank)} for rank in range(2)]
    code = run_processes([sys.executable, "-c", script], environments, "[x] ", ForwardedSignals())
    out, err = capfdbinary.readouterr()
    return code, out.decode(), err.decode()


def test_processes_run_side_by_side_and_say_which_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, out, err = run("import os; print('rank', os.environ['RANK'])", capfdbinary)
    assert (code, sorted(out.splitlines()), err) == (0, ["[x] [1] rank 1", "[x] rank 0"], "")


def test_the_first_process_that_fails_ends_the_others_and_is_named(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    script = "import os, sys, time; sys.exit(7) if os.environ['RANK'] == '1' else time.sleep(600)"
    code, _, err = run(script, capfdbinary)
    assert code == 7
    assert err == "[x] multilearn: rank 1 ended with exit code 7, and so the others are ended.\n"
