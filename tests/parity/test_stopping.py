"""However a run is stopped, by Ctrl-C or by SIGTERM: going on ends where the uninterrupted run ends."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.processes import BACKENDS, Ended, Warm, expect_equal_runs, files, on_each

from multilearn.checkpoint import CheckpointFolder
from multilearn.events import Position

BATCHES = 23


def saved(directory: Path) -> list[Position]:
    return CheckpointFolder(directory / "checkpoint").positions()


def session(directory: Path) -> Any:
    return json.loads((directory / "experiment.json").read_text())["sessions"][-1]


def stop(warm: Warm, where: str, number: signal.Signals, *arguments: object) -> Ended:
    """The example, sent a signal while it waits before a batch."""
    running, file = warm.paused(where, *arguments)
    running.send(number)
    file.unlink()
    return running.wait()


@pytest.fixture(scope="module")
def stopped(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on each framework that was stopped twice in its second epoch, and went on each time."""
    folder = tmp_path_factory.mktemp("stopped")

    def train(backend: str) -> None:
        run, process = folder / backend, warm[backend]
        options = ("--directory", run, "--epochs", 4)
        first = stop(process, "train 2 9", signal.SIGINT, *options)
        expect_stop_in_training(run, first)
        second = stop(process, "valid 2 2", signal.SIGTERM, *options, "--checkpoint", "latest")
        expect_stop_in_validation(run, second)
        process.train(run, "--epochs", 4, "--checkpoint", "latest")

    on_each(train)
    return folder


def expect_stop_in_training(run: Path, ended: Ended) -> None:
    assert ended.code == -signal.SIGINT, ended.said
    first, place = saved(run)
    assert first == Position(1)
    assert place.epoch == 2
    assert place.batch is not None
    assert 8 <= place.batch <= 10
    assert f"stopped in epoch 2 after {place.batch} batches: SIGINT" in ended.said
    assert {f"checkpoint/{part}-{place}.mpk.gz" for part in ("model", "optim", "scheduler")} <= set(files(run))
    for metric in ("Loss", "Accuracy"):
        lines = (run / f"train/epoch-2/{metric}.log").read_text().splitlines()
        assert len(lines) == place.batch
        assert not any("final" in line for line in lines)
    assert (session(run)["outcome"], session(run)["reason"]) == ("stopped", "SIGINT")
    assert session(run)["position"] == str(place)
    assert not (run / ".lock").exists()


def expect_stop_in_validation(run: Path, ended: Ended) -> None:
    assert ended.code == -signal.SIGTERM, ended.said
    assert saved(run) == [Position(1), Position(2, BATCHES)]
    # manifest and history, and nothing that is left over of the earlier stop in this epoch
    assert len(files(run, "checkpoint")) == 2 + 2 * 3
    assert f"stopped in epoch 2 after {BATCHES} batches: SIGTERM" in ended.said
    assert (run / "train/epoch-2/Loss.log").read_text().splitlines()[-1].endswith(",final")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_was_stopped_again_and_again_ends_as_if_it_had_not_been(
    runs: Path, stopped: Path, backend: str
) -> None:
    expect_equal_runs(stopped / backend, runs / f"digits-{backend}")


def test_a_second_ctrl_c_ends_it_at_once(warm: Mapping[str, Warm], runs: Path, tmp_path: Path) -> None:
    backend, run = BACKENDS[0], tmp_path / "run"
    running, file = warm[backend].paused("train 2 9", "--directory", run, "--epochs", 4)
    running.send(signal.SIGINT)
    time.sleep(0.1)
    assert running.lives()
    running.send(signal.SIGINT)
    ended = running.wait()
    assert file.exists(), "it went on"
    assert ended.code in (130, -signal.SIGINT), ended.said
    assert saved(run) == [Position(1)]
    assert not (run / ".lock").exists()
    file.unlink()
    assert "resuming with epoch 2 of 4" in warm[backend].train(run, "--epochs", 4, "--checkpoint", "latest")
    expect_equal_runs(run, runs / f"digits-{backend}")
