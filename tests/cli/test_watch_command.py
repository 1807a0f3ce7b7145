"""`multilearn watch` and `stop`: runs of other processes, as the lines that those processes print, and their end."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import toy_experiment as toy
from support.environments import TESTS, unchosen

import multilearn as ml
from multilearn.commands.watch import UNLOGGED

Command = Callable[..., subprocess.CompletedProcess[str]]

TRAINING = """
import sys, time
from support import toy_experiment as toy
import multilearn as ml

watched = toy.Watched(toy.train_loader(), lambda epoch, number: time.sleep(0.04))
described = toy.builder(sys.argv[1], int(sys.argv[2])).renderer(ml.renderers.CliRenderer())
print("stopped by", toy.fit(described, train=watched).stopped_by)
"""


@pytest.fixture
def variables() -> dict[str, str]:
    return {**unchosen(MULTILEARN_BACKEND="toy"), "PYTHONPATH": f"{TESTS}:{TESTS / 'toy'}", "OMP_NUM_THREADS": "1"}


@contextmanager
def training(directory: Path, epochs: int, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A run of another process that has trained an epoch."""
    command = [sys.executable, "-c", TRAINING, str(directory), str(epochs)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 60
            while not (directory / "valid/epoch-1").exists():
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Trains a run here, and returns what it printed."""
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")
    monkeypatch.chdir(tmp_path)

    def fit(name: str, **options: object) -> str:
        stream = io.StringIO()
        described = toy.builder(name).renderer(ml.renderers.CliRenderer(stream))
        toy.fit(described.metric_loggers() if options.get("unlogged") else described)
        return stream.getvalue()

    return fit


def without_times(text: str) -> list[str]:
    """The lines without the times and speeds that they end with."""
    return [line.partition("  0.")[0].partition(" in 0.")[0] for line in text.splitlines()]


def test_an_ended_run_is_shown_as_it_was(command: Command, trained: Callable[..., str]) -> None:
    printed = trained("run")
    watched = command("watch", "run")
    assert (watched.returncode, watched.stderr) == (0, "")
    assert without_times(watched.stdout) == without_times(printed)
    assert len(watched.stdout.splitlines()) == 5


def test_lines_of_several_runs_begin_with_their_names(command: Command, trained: Callable[..., str]) -> None:
    printed = {name: trained(f"runs/{name}") for name in ("a", "other")}
    watched = without_times(command("watch", "runs/a", "runs/other").stdout)
    for name, text in printed.items():
        assert [line for line in watched if line.startswith(name)] == [
            f"{name:5}  {line}" for line in without_times(text)
        ]


def test_a_run_is_watched_to_its_end_with_the_times_that_it_measured(
    tmp_path: Path, variables: dict[str, str], multilearn: Command
) -> None:
    with training(tmp_path / "run", 4, variables) as process:
        watched = multilearn("watch", "run", "--every", "0.1")
        printed = process.communicate(timeout=60)[0].splitlines()
    lines = watched.stdout.splitlines()
    assert without_times("\n".join(lines[1:5])) == without_times("\n".join(printed[1:5]))
    for line, other in zip(lines[1:5], printed[1:5], strict=True):
        assert float(line.split()[-2]) == pytest.approx(float(other.split()[-2]), rel=0.4)


def test_a_run_is_asked_to_stop_and_saves(
    tmp_path: Path, variables: dict[str, str], multilearn: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(tmp_path / "run", 500, variables) as process:
        asked = multilearn("stop", "run")
        assert process.communicate(timeout=60)[0].endswith("stopped by multilearn stop\n")
    position = toy.experiment(tmp_path / "run")["sessions"][-1]["position"]
    assert (asked.returncode, asked.stdout) == (0, f"run: stopped at {position} (multilearn stop)\n")
    assert (tmp_path / f"run/checkpoint/model-{position}.mpk.gz").exists()
    assert not (tmp_path / "run/.stop").exists()
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")
    # and a request that came too late is for no later process
    (tmp_path / "run/.stop").write_text("long ago")
    again = toy.fit(toy.builder(tmp_path / "run", int(position.partition(".")[0]) + 1).checkpoint("latest"))
    assert again.stopped_by is None and not (tmp_path / "run/.stop").exists()


def test_a_run_that_does_not_answer_is_not_waited_for_without_end(
    tmp_path: Path, variables: dict[str, str], multilearn: Command
) -> None:
    with training(tmp_path / "run", 500, variables) as process:
        process.send_signal(signal.SIGSTOP)
        asked = multilearn("stop", "run", "--wait", "0.2")
        assert asked.returncode == 1
        assert f"process {process.pid} on " in asked.stdout and "is still at work" in asked.stdout


def test_a_killed_run_is_shown_as_such(tmp_path: Path, variables: dict[str, str], multilearn: Command) -> None:
    with training(tmp_path / "run", 500, variables) as process:
        process.kill()
        process.wait()
        watched = multilearn("watch", "run")
        assert watched.returncode == 0
        assert watched.stdout.splitlines()[-1].endswith("the process that trained it was killed")
        asked = multilearn("stop", "run")
        assert asked.returncode == 2 and "Received: run, which was killed" in asked.stderr


def test_ctrl_c_ends_the_watching(tmp_path: Path, variables: dict[str, str]) -> None:
    with training(tmp_path / "run", 500, variables):
        command = [sys.executable, "-m", "multilearn", "watch", str(tmp_path / "run")]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None and watching.stderr is not None
            watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            assert (watching.wait(30), watching.stderr.read()) == (130, b"")


def test_a_reader_that_goes_away_ends_the_watching(tmp_path: Path, variables: dict[str, str]) -> None:
    with training(tmp_path / "run", 500, variables):
        command = [sys.executable, "-m", "multilearn", "watch", str(tmp_path / "run"), "--every", "0.05"]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None and watching.stderr is not None
            watching.stdout.readline()
            watching.stdout.close()
            assert (watching.wait(30), watching.stderr.read()) == (0, b"")


def test_a_run_that_is_named_twice_is_shown_once(command: Command, trained: Callable[..., str], tmp_path: Path) -> None:
    trained("run")
    (tmp_path / "link").symlink_to("run")
    assert command("watch", "run", "link", "./run").stdout == command("watch", "run").stdout


def test_a_run_without_metric_files_is_said_to_have_none(command: Command, trained: Callable[..., str]) -> None:
    trained("run", unlogged=True)
    assert command("watch", "run").stdout.splitlines()[1] == UNLOGGED


def test_what_is_no_run_is_refused(command: Command, tmp_path: Path, trained: Callable[..., str]) -> None:
    trained("run")
    (tmp_path / "empty").mkdir()
    for arguments in (("watch", "run", "empty"), ("watch", "nowhere"), ("stop", "empty")):
        refused = command(*arguments)
        assert refused.returncode == 2 and "A run's directory holds experiment.json" in refused.stderr
    assert command("stop", "run").returncode == 2
    assert command("watch").returncode == 2
