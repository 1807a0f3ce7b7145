"""`multilearn export`: what it prints where, and that an extra that is missing is one line."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support import toy_experiment as toy

# The command line where no tracker is installed.
WITHOUT_TRACKERS = """
import sys

for name in ("tensorboardX", "mlflow", "wandb", "trackio"):
    sys.modules[name] = None
from multilearn.cli import main
main()
"""


def export(run: Path, environment: Mapping[str, str], *options: str, code: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-c", WITHOUT_TRACKERS, "export", str(run), *options]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == code, ended.stderr
    return ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTILEARN_BACKEND", "toy")
        toy.fit(toy.builder(path, 1))
    return path


def test_a_table_is_all_that_is_on_the_standard_output(run: Path, environment: Mapping[str, str]) -> None:
    out, err = export(run, environment, "--to", "csv")
    assert len(out.splitlines()) == 1 + 4
    assert err == ""


def test_a_table_in_a_file_leaves_the_standard_output_alone(
    run: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    out, err = export(run, environment, "--to", "csv", "-o", str(tmp_path / "all.csv"))
    assert (out, err) == ("", f"{run}: 4 rows\n")


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_an_extra_that_is_missing_is_one_line(run: Path, environment: Mapping[str, str], tracker: str) -> None:
    before = sorted(run.rglob("*"))
    out, err = export(run, environment, "--to", tracker, code=2)
    assert (out, err.count("\n")) == ("", 1)
    assert err.endswith(f"Install it with: pip install 'multilearn-keras[{tracker}]'\n")
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("name", ["experiment.json", "valid/epoch-1/Loss.log", "timeline.jsonl", "checkpoint/x.csv"])
def test_a_table_never_takes_the_place_of_a_file_of_a_run(
    command: Callable[..., subprocess.CompletedProcess[str]], write_run: Callable[..., Path], name: str
) -> None:
    run = write_run("run", {"valid/1/Loss": ["1.0,4", "1.0,final"]})
    (run / "checkpoint").mkdir()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = command("export", "run", "--to", "csv", "-o", f"run/{name}")
    assert ended.returncode == 2 and "The files of a run are its own." in ended.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_table_is_written_into_a_pipe_and_through_a_link(
    command: Callable[..., subprocess.CompletedProcess[str]], write_run: Callable[..., Path], tmp_path: Path
) -> None:
    write_run("run", {"valid/1/Loss": ["1.0,4", "1.0,final"]})
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.csv").symlink_to("real.csv")
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_text()))
    reader.start()
    command("export", "run", "--to", "csv", "-o", "pipe")
    reader.join(30)
    command("export", "run", "--to", "csv", "-o", "link.csv")
    assert found == [(tmp_path / "real.csv").read_text()] and found[0].count("\n") == 2
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "pipe").is_fifo()
