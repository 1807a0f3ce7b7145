"""One script on every framework: the same weights, the same curve, the same files."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, environment, epoch_values, files, metric_files, on_each

from multilearn.commands.compare.preconditions import first_difference, preconditions
from multilearn.run.on_disk import open_run

EPOCHS, TRAIN_ITEMS, VALID_ITEMS = 4, 1472, 325
PAIRS = list(itertools.combinations(BACKENDS, 2))


@pytest.fixture(scope="module")
def recurrent(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a model with an LSTM and all dropouts on each framework."""
    folder = tmp_path_factory.mktemp("recurrent")
    on_each(lambda backend: warm[backend].done(SCRIPTS / "recurrent.py", folder / backend))
    return folder


def declared(directory: Path) -> Any:
    return json.loads((directory / "experiment.json").read_text())


def expect_same_curve(run: Path, other: Path, items: Mapping[str, int]) -> None:
    """Losses within 1e-5 of each other, accuracies within one item."""
    values, others = epoch_values(run), epoch_values(other)
    assert list(values) == list(others)
    for key, value in values.items():
        if key[1] == "Loss":
            assert value == pytest.approx(others[key], rel=1e-5, abs=0), key
        else:
            assert abs(value - others[key]) <= 1.000001 / items[key[0]], key


def test_compare_finds_the_runs_the_same(runs: Path) -> None:
    directories = [f"digits-{backend}" for backend in BACKENDS]
    command = [sys.executable, "-m", "multilearn", "compare", *directories, "--tolerance", "1e-4"]
    ended = subprocess.run(command, cwd=runs, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.splitlines()[-1].startswith(f"same: {EPOCHS * 4} values within the tolerance")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_losses_agree_to_five_digits_and_accuracies_within_one_item(runs: Path, one: str, other: str) -> None:
    items = {"train": TRAIN_ITEMS, "valid": VALID_ITEMS}
    expect_same_curve(runs / f"digits-{one}", runs / f"digits-{other}", items)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_recurrent_model_with_dropout_has_the_same_curve(recurrent: Path, one: str, other: str) -> None:
    expect_same_curve(recurrent / one, recurrent / other, {"train": 1000, "valid": 300})


def test_the_recurrent_model_learns(recurrent: Path) -> None:
    values = epoch_values(recurrent / BACKENDS[0])
    assert values["train", "Loss", 2] < values["train", "Loss", 1]


def test_initial_weights_are_equal_bit_for_bit(runs: Path, recurrent: Path) -> None:
    for directories in ([runs / f"digits-{b}" for b in BACKENDS], [recurrent / b for b in BACKENDS]):
        hashes = {declared(directory)["weights_sha256"] for directory in directories}
        assert len(hashes) == 1
        assert re.fullmatch("[0-9a-f]{64}", hashes.pop())


def test_another_seed_changes_all_of_it_and_alike_everywhere(runs: Path) -> None:
    before = declared(runs / f"digits-{BACKENDS[0]}")["weights_sha256"]
    assert len({declared(runs / f"seven-{backend}")["weights_sha256"] for backend in BACKENDS}) == 1
    for backend in BACKENDS:
        seven, digits = runs / f"seven-{backend}", runs / f"digits-{backend}"
        assert declared(seven)["seed"] == 7
        assert declared(seven)["weights_sha256"] != before
        assert "seed 7 (MULTILEARN_SEED, instead of the script's 42)" in (seven / "experiment.log").read_text()
        values, of_42 = epoch_values(seven), epoch_values(digits)
        for split in ("train", "valid"):
            assert values[split, "Loss", 1] != pytest.approx(of_42[split, "Loss", 1], rel=1e-3)
        lines, lines_of_42 = ((run / "train/epoch-1/Loss.log").read_text().split() for run in (seven, digits))
        assert not set(lines) & set(lines_of_42)
        expect_same_curve(seven, runs / f"seven-{BACKENDS[0]}", {"train": TRAIN_ITEMS, "valid": VALID_ITEMS})


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_directory_has_the_documented_layout_and_nothing_else(runs: Path, backend: str) -> None:
    run = runs / f"digits-{backend}"
    values = epoch_values(run)
    best = min(range(1, EPOCHS + 1), key=lambda epoch: values["valid", "Loss", epoch])
    parts = ("model", "optim", "scheduler")
    expected = {"experiment.log", "experiment.json", "timeline.jsonl"}
    expected |= {"checkpoint/manifest.json", "checkpoint/history.log"}
    expected |= {f"checkpoint/{part}-{epoch}.mpk.gz" for part in parts for epoch in {best, EPOCHS - 1, EPOCHS}}
    for split, epoch, metric in itertools.product(("train", "valid"), range(1, EPOCHS + 1), ("Loss", "Accuracy")):
        expected.add(f"{split}/epoch-{epoch}/{metric}.log")
    assert set(files(run)) == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_log_tells_of_the_run_in_a_few_lines(runs: Path, backend: str) -> None:
    lines = (runs / f"digits-{backend}" / "experiment.log").read_text().splitlines()
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) multilearn\S* .+")
    assert all(form.fullmatch(line) for line in lines), lines
    assert EPOCHS < len(lines) < 5 * EPOCHS


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_experiment_json_declares_the_same_on_both(runs: Path, one: str, other: str) -> None:
    first, second = (declared(runs / f"digits-{backend}") for backend in (one, other))
    assert first.pop("sessions") != second.pop("sessions")
    assert first == second


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_all_preconditions_hold_and_nothing_differs_between_frameworks(
    runs: Path, recurrent: Path, one: str, other: str
) -> None:
    for pair in ([runs / f"digits-{each}" for each in (one, other)], [recurrent / each for each in (one, other)]):
        compared = [open_run(directory) for directory in pair]
        assert {each.name: each.values for each in preconditions(compared) if not each.held} == {}
        assert first_difference(compared, 1e-4) is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_records_are_equal_files(runs: Path, halves: Mapping[str, Path], backend: str) -> None:
    """Neither the time nor a file's name is in a record: two runs of one seed leave the same bytes."""
    once = files(halves[backend], "checkpoint")["checkpoint/model-2.mpk.gz"]
    assert gzip.decompress(once)[:1] == b"\x82"
    assert metric_files(halves[backend], 1, 2) == metric_files(runs / f"digits-{backend}", 1, 2)
