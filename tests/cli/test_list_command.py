"""`multilearn list`: the runs below a directory, ranked by their best value of a metric."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]


def files(losses: list[str], accuracies: list[str], split: str = "valid") -> dict[str, list[str]]:
    found = {}
    for epoch, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), start=1):
        found[f"train/{epoch}/Loss"] = ["9.0,4", "9.0,final"]
        found[f"{split}/{epoch}/Loss"] = [f"{loss},4", f"{loss},final"]
        found[f"{split}/{epoch}/Accuracy"] = [f"{accuracy},4", f"{accuracy},final"]
    return found


METRICS = [
    {"name": "Loss", "unit": "", "numeric": True, "plotted": True, "splits": ["train", "valid"], "better": "lowest"},
    {"name": "Accuracy", "unit": "share", "numeric": True, "splits": ["train", "valid"], "better": "highest"},
]


def test_the_best_run_is_first_by_the_way_that_is_better(command: Command, write_run: Write, tmp_path: Path) -> None:
    write_run("runs/a", files(["0.5", "0.25", "0.75"], ["0.5", "0.75", "0.5"]), metrics=METRICS)
    write_run("runs/deep/b", files(["NaN", "0.125"], ["0.25", "0.25"]), metrics=METRICS, backend="jax", seed=2)
    write_run("runs/c", files(["NaN"], ["NaN"]), metrics=METRICS)
    lines = command("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["deep/b", "a", "c"]
    assert lines[1].split()[-4:] == ["0.1250", "@", "2", "0.1250"]
    assert lines[-1] == "3 runs, by Loss, on valid"
    lines = command("list", "runs", "--metric", "Accuracy").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["a", "deep/b", "c"]
    assert "75.00 % @ 2  50.00 %" in lines[1]
    found = json.loads(command("list", "runs", "--json").stdout)["runs"]
    assert [(run["name"], run["best"], run["at"], run["seed"]) for run in found][:1] == [("deep/b", 0.125, 2, 2)]


def test_a_run_without_validation_is_ranked_by_its_training(command: Command, write_run: Write) -> None:
    write_run("runs/a", files(["0.5"], ["0.5"]), metrics=METRICS)
    write_run("runs/b", {"train/1/Loss": ["0.25,4", "0.25,final"]}, metrics=METRICS)
    lines = command("list").stdout.splitlines()
    assert "0.2500 @ 1 train" in lines[1] and "0.5000 @ 1 valid" in lines[2]


def test_what_cannot_be_read_is_named(command: Command, write_run: Write, tmp_path: Path) -> None:
    write_run("runs/a", files(["0.5"], ["0.5"]), metrics=METRICS)
    (tmp_path / "runs/broken").mkdir()
    (tmp_path / "runs/broken/experiment.json").write_text("{")
    listed = command("list")
    assert listed.returncode == 0 and "1 run, by Loss" in listed.stdout and "broken: " in listed.stdout


def test_a_directory_without_runs_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for directory in ("empty", "nowhere"):
        refused = command("list", directory)
        assert refused.returncode == 2 and "There must be a run in the directory" in refused.stderr
