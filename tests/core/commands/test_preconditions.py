"""Whether two runs could have been the same, and the first thing that made them differ: one change at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import Momentum

import multilearn as ml
from multilearn.commands.compare.preconditions import first_difference, preconditions
from multilearn.commands.compare.report import states
from multilearn.commands.compare.values import Precondition
from multilearn.errors import DirectoryError, RecordError
from multilearn.run.on_disk import RunOnDisk, open_run

TOLERANCE = 1e-5
NAMES = [
    *("seed", "configuration", "data", "weights at start"),
    *("versions", "threads", "TF32", "oneDNN", "determinism", "machine", "devices"),
]


def run(
    directory: Path,
    *,
    seed: int = toy.SEED,
    lr: float = 0.5,
    accumulation: int = 1,
    train: ml.DataLoader | None = None,
    valid: ml.DataLoader | None = None,
    change: Callable[[dict[str, np.ndarray]], object] = lambda weights: None,
    validate: bool = True,
) -> RunOnDisk:
    ml.set_seed(seed)
    task = toy.task()
    change(task.model.weights)
    described = toy.builder(directory, epochs=2).grads_accumulation(accumulation)
    given = toy.valid_loader() if valid is None else valid
    learner = described.build(task, Momentum(), ml.schedulers.Constant(lr))
    learner.fit(toy.train_loader() if train is None else train, given if validate else None)
    return open_run(directory)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base") / "run"


@pytest.fixture
def base(place: Path) -> RunOnDisk:
    """Trained once, by the first test that needs it."""
    return open_run(place) if place.exists() else run(place)


def rewritten(found: RunOnDisk, change: Callable[[dict[str, Any]], object]) -> RunOnDisk:
    """The run as if its experiment.json had been written otherwise."""
    document = json.loads(found.directory.experiment.read_text())
    change(document)
    return replace(found, declared=document)


def session_with(found: RunOnDisk, **parts: Any) -> RunOnDisk:
    return rewritten(found, lambda document: document["sessions"][-1].update(parts))


def judged(one: RunOnDisk, other: RunOnDisk) -> dict[str, bool | None]:
    return {each.name: each.held for each in preconditions([one, other])}


def test_equal_runs_hold_all_preconditions_and_differ_in_nothing(base: RunOnDisk, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    found = preconditions([base, again])
    assert [each.name for each in found] == NAMES
    assert all(each.held and each.values[0] == each.values[1] for each in found)
    assert found[0] == Precondition("seed", True, ("7", "7"))
    assert first_difference([base, again], 0.0) is None


def altered(place: tuple[int, ...], by: float) -> ml.DataLoader:
    x, y = toy.arrays(35)
    x[place] += by
    return ml.DataLoader((x, y), 8, shuffle=True)


def relabelled() -> ml.DataLoader:
    x, y = toy.arrays(35)
    y[34] = (y[34] + 1) % 3
    return ml.DataLoader((x, y), 8, shuffle=True)


def reordered() -> ml.DataLoader:
    x, y = toy.arrays(35)
    swapped = np.r_[1, 0, 2:35]
    return ml.DataLoader((x[swapped], y[swapped]), 8, shuffle=True)


def retyped() -> ml.DataLoader:
    x, y = toy.arrays(35)
    return ml.DataLoader((x.astype(np.float64), y), 8, shuffle=True)


def one_weight(weights: dict[str, np.ndarray]) -> None:
    weights["bias"] = np.array([0, 0, 1e-6], np.float32)


@pytest.mark.parametrize(
    ("changes", "cause", "said"),
    [
        ({"seed": 8}, "seed", "The seed differs: 7 / 8."),
        (
            {"lr": 0.25},
            "configuration",
            "The configuration differs in scheduler.description: Constant(rate=0.5) / Constant(rate=0.25).",
        ),
        ({"accumulation": 2}, "configuration", "The configuration differs in grads_accumulation: 1 / 2."),
        (
            {"train": ml.DataLoader(toy.arrays(35), 7, shuffle=True)},
            "configuration",
            "The configuration differs in train.batch_size: 8 / 7.",
        ),
        (
            {"train": ml.DataLoader(toy.arrays(35), 8)},
            "configuration",
            "The configuration differs in train.shuffle: on / off.",
        ),
        ({"train": altered((34, 3), 1e-6)}, "data", "The data differs in train x (all), sha256: "),
        ({"train": reordered()}, "data", "The data differs in train x (all), sha256: "),
        ({"train": retyped()}, "data", "The data differs in train x (all), dtype: float32 / float64."),
        ({"train": relabelled()}, "data", "The data differs in train y (all), sha256: "),
        (
            {"valid": ml.DataLoader(toy.arrays(13), 7)},
            "configuration",
            "The configuration differs in valid.batch_size: 6 / 7.",
        ),
        (
            {"valid": ml.DataLoader(toy.arrays(30), 6)},
            "data",
            "The data differs in valid x (all), shape: [13, 4] / [30, 4].",
        ),
        ({"validate": False}, "data", "The data differs in valid: given / none."),
        ({"change": one_weight}, "weights at start", "The weights at start differ in bias: "),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_what_was_made_otherwise_is_named_first(
    base: RunOnDisk, tmp_path: Path, changes: dict[str, Any], cause: str, said: str
) -> None:
    other = run(tmp_path / "other", **changes)
    told = first_difference([base, other], TOLERANCE)
    assert told is not None and told.startswith(said)
    assert preconditions([base, base, other])[NAMES.index(cause)].held is False


def test_only_what_was_changed_does_not_hold(base: RunOnDisk, tmp_path: Path) -> None:
    other = run(tmp_path / "other", train=altered((0, 0), 1.0))
    assert [name for name, held in judged(base, other).items() if not held] == ["data"]


def test_versions_are_circumstances_and_the_batch_is_said_too(base: RunOnDisk) -> None:
    older = session_with(base, versions={"python": "3.11.7", "numpy": "1.26.0"})
    later = session_with(base, versions={"python": "3.11.7", "numpy": "2.9.0"})
    assert first_difference([older, later], TOLERANCE) == "The versions differ in numpy: 1.26.0 / 2.9.0."
    assert [name for name, held in judged(older, later).items() if not held] == ["versions"]


def test_threads_of_the_environment_are_recorded(
    base: RunOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    other = run(tmp_path / "other")
    assert first_difference([base, other], TOLERANCE) == "The threads differ in TF_NUM_INTRAOP_THREADS: none / 3."


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("threads", 4, "The threads differ in toy threads: 1 / 4."),
        ("tf32", True, "TF32 differs: off / on."),
        ("onednn", True, "oneDNN differs in toy onednn: off / on."),
        ("deterministic", False, "The determinism differs in toy deterministic: on / off."),
    ],
)
def test_settings_of_the_framework_are_named(base: RunOnDisk, setting: str, value: Any, said: str) -> None:
    numerics = {"tf32": False, "onednn": False, "deterministic": True, "threads": 1}
    assert base.declared["sessions"][0]["numerics"] == numerics
    assert first_difference([base, session_with(base, numerics={**numerics, setting: value})], TOLERANCE) == said


def test_settings_of_different_frameworks_are_not_compared(base: RunOnDisk) -> None:
    numerics = {"tf32": False, "onednn": True, "deterministic": False, "intra_op_threads": 8}
    other = session_with(base, backend="another", numerics=numerics, versions={"python": "3.11.7", "another": "1"})
    mine = session_with(base, versions={"python": "3.11.7", "toy": "2"})
    assert first_difference([mine, other], TOLERANCE) is None
    assert set(judged(mine, other).values()) == {True}


def test_another_machine_is_named_last(base: RunOnDisk) -> None:
    machine = {"system": "Linux", "architecture": "aarch64", "cpu": "another"}
    here = base.declared["sessions"][0]["machine"]["architecture"]
    told = first_difference([base, session_with(base, machine=machine)], TOLERANCE)
    assert told == f"The machine differs in architecture: {here} / aarch64."


def test_devices_may_differ(base: RunOnDisk) -> None:
    several = session_with(base, devices=["cpu:0", "cpu:1"])
    (found,) = [each for each in preconditions([base, several]) if each.held is False]
    assert (found.name, found.needed, found.values[1]) == ("devices", False, "2: cpu:0, cpu:1")
    assert states([found]) == [f"differs, as it may: devices ({found.values[0]} / 2: cpu:0, cpu:1)"]


def with_line(found: RunOnDisk, directory: Path, path: str, line: int, text: str) -> RunOnDisk:
    """A copy of the run with one line of a metric file written otherwise."""
    for file in found.path.rglob("*"):
        if file.is_file():
            copy = directory / file.relative_to(found.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    lines = (directory / path).read_text().splitlines()
    lines[line] = text
    (directory / path).write_text("".join(f"{each}\n" for each in lines if each))
    return open_run(directory)


def test_the_first_batch_that_is_too_far_apart_is_named(base: RunOnDisk, tmp_path: Path) -> None:
    other = with_line(base, tmp_path / "a", "train/epoch-2/Loss.log", 2, "9.5,8")
    other = with_line(other, tmp_path / "b", "valid/epoch-2/Loss.log", 0, "9.5,6")
    before = (base.path / "train/epoch-2/Loss.log").read_text().splitlines()[2].partition(",")[0]
    expected = f"The training loss first differs in batch 3 of epoch 2: {before} / 9.5."
    assert first_difference([base, other], TOLERANCE) == expected
    assert first_difference([base, other], 1e9) is None
    threads = session_with(other, threads={"OMP_NUM_THREADS": "64"})
    mine = session_with(base, threads={"OMP_NUM_THREADS": "2"})
    circumstance = "The threads differ in OMP_NUM_THREADS: 2 / 64; "
    assert first_difference([mine, threads], TOLERANCE) == circumstance + expected


def test_validation_of_an_epoch_comes_after_its_training(base: RunOnDisk, tmp_path: Path) -> None:
    other = with_line(base, tmp_path / "a", "valid/epoch-1/Loss.log", 1, "NaN,6")
    other = with_line(other, tmp_path / "b", "train/epoch-2/Loss.log", 0, "9.5,8")
    told = first_difference([base, other], TOLERANCE)
    assert told is not None and told.startswith("The validation loss first differs in batch 2 of epoch 1: ")
    assert first_difference([other, other], 0.0) is None  # NaN equals NaN


def test_a_batch_too_many_is_named(base: RunOnDisk, tmp_path: Path) -> None:
    shorter = with_line(base, tmp_path / "a", "train/epoch-1/Loss.log", 4, "")
    assert first_difference([base, shorter], TOLERANCE) == (
        "The number of training batches first differs in epoch 1: 5 / 4."
    )


def test_the_tolerance_is_relative(base: RunOnDisk, tmp_path: Path) -> None:
    value = float((base.path / "train/epoch-1/Loss.log").read_text().partition(",")[0])
    near = with_line(base, tmp_path / "a", "train/epoch-1/Loss.log", 0, f"{value * (1 + 1e-6)!r},8")
    assert first_difference([base, near], 2e-6) is None
    assert first_difference([base, near], 5e-7) is not None


def test_damaged_metric_files_are_refused(base: RunOnDisk, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="line 1"):
        first_difference([base, with_line(base, tmp_path / "a", "train/epoch-1/Loss.log", 0, "x,y,z")], TOLERANCE)


def test_what_an_older_version_did_not_record_is_left_open(base: RunOnDisk) -> None:
    def older(document: dict[str, Any]) -> None:
        del document["weights_crc32"]
        for name in ("data", "loaders", "machine", "numerics"):
            del document["sessions"][0][name]
        document["sessions"][0]["versions"] = {"numpy": np.__version__}

    old = rewritten(base, older)
    held = judged(base, old)
    assert [name for name in NAMES if held[name] is None] == [
        *("configuration", "data", "weights at start", "TF32", "oneDNN", "determinism", "machine"),
    ]
    assert first_difference([base, old], TOLERANCE) is None
    found = {each.name: each.values for each in preconditions([base, old])}
    assert found["data"][1] == "not recorded" != found["data"][0]
    weights = rewritten(old, lambda document: document.update(weights_sha256="ab" * 32))
    expected = f"The weights at start differ: {str(base.weights)[:12]} / {'ab' * 6}."
    assert first_difference([base, weights], TOLERANCE) == expected


def test_a_run_that_went_on_under_other_circumstances_says_both(base: RunOnDisk, tmp_path: Path) -> None:
    moved = rewritten(
        base,
        lambda document: document["sessions"].append(
            {**document["sessions"][0], "versions": {**document["sessions"][0]["versions"], "numpy": "9"}}
        ),
    )
    told = first_difference([base, moved], TOLERANCE)
    assert told == f"The versions differ in numpy: {np.__version__} / {np.__version__}, then 9."


def test_a_resumed_run_is_the_same_experiment(base: RunOnDisk, tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    toy.fit(toy.builder(whole, epochs=2))
    toy.fit(toy.builder(halves, epochs=1))
    toy.fit(toy.builder(halves, epochs=2).checkpoint("latest"))
    runs = [open_run(whole), open_run(halves)]
    assert [len(each.sessions) for each in runs] == [1, 2]
    assert all(each.held for each in preconditions(runs))
    assert first_difference(runs, 0.0) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"sessions": [{"backend": 1, "threads": [], "data": "x", "loaders": {"train": 1}, "numerics": None}]},
        {"builder": [], "optimizer": 3, "scheduler": None, "model": [], "weights_crc32": 4, "weights_sha256": 5},
        {"sessions": [{"backend": "toy", "data": {"train": {"all": [1], "x": {"y": 2, "z": {"sha256": [3]}}}}}]},
    ],
)
def test_what_is_not_of_the_form_is_not_recorded(base: RunOnDisk, damage: dict[str, Any]) -> None:
    other = rewritten(base, lambda document: document.update(damage))
    assert [each.name for each in preconditions([base, other])] == NAMES
    first_difference([base, other], TOLERANCE)


def test_a_large_experiment_json_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").touch()
    with (tmp_path / "experiment.json").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(DirectoryError, match=r"cannot be read: .*More than"):
        open_run(tmp_path)
