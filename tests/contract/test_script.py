"""The example as a newcomer runs it, on the framework at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from multilearn import backend

DIGITS = Path(__file__).parents[2] / "examples" / "digits.py"
VARIABLES = ("MULTILEARN_BACKEND", "KERAS_BACKEND", "MULTILEARN_SEED")
ALONE = len([name for name in ("torch", "tensorflow", "jax") if find_spec(name)]) == 1


def run(folder: Path, *options: str) -> str:
    """The output of the quick example in `folder`, with nothing set where only one framework is installed."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    chosen = {} if ALONE else {"MULTILEARN_BACKEND": backend.chosen() or ""}
    command = [sys.executable, str(DIGITS), "--quick", *options]
    ended = subprocess.run(command, cwd=folder, env={**kept, **chosen}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The directory of two epochs and one more, and what was printed each time."""
    folder = tmp_path_factory.mktemp("script")
    first = run(folder)
    second = run(folder, "--epochs", "3", "--checkpoint", "latest")
    return folder / "runs" / f"digits-{backend.chosen()}", first, second


def test_it_trains_and_tells_of_it_in_calm_lines(runs: tuple[Path, str, str]) -> None:
    directory, first, _ = runs
    lines = first.splitlines()
    assert lines[0] == f"training for 2 epochs, in runs/{directory.name}"
    assert [line.split()[:2] for line in lines[1:3]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert lines[3].startswith("completed 2 epochs in ")
    assert lines[4] == "summary"
    assert not any(character in first for character in "\r\x1b")


def test_it_goes_on_from_the_latest_checkpoint(runs: tuple[Path, str, str]) -> None:
    directory, _, second = runs
    assert second.startswith(f"going on with epoch 3 of 3, in runs/{directory.name}\nepoch 3/3 ")
    assert sorted(folder.name for folder in (directory / "train").iterdir()) == ["epoch-1", "epoch-2", "epoch-3"]
    sessions = json.loads((directory / "experiment.json").read_text())["sessions"]
    assert [session["backend"] for session in sessions] == [backend.chosen()] * 2
    assert [session["position"] for session in sessions] == ["2", "3"]


def test_the_summary_shows_what_the_files_hold(runs: tuple[Path, str, str]) -> None:
    directory, _, second = runs
    value = float((directory / "valid/epoch-3/Loss.log").read_text().splitlines()[-1].removesuffix(",final"))
    assert f"{value:.4f}" in second.split("summary")[1]
