"""Runs in processes of their own that are interrupted, ended at once, or killed, and then go on."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import DirectoryError

Finish = Callable[[Path], str]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends the signals of POSIX")

EPOCHS = 6

# Exits as the examples do. At batch 2 of epoch 2 it waits for a signal, and then it can take very long over that batch.
SCRIPT = f"""
import sys, time
import multilearn as ml
from support import toy_experiment as toy

directory, mode = sys.argv[1:]

def at(epoch, number):
    if (epoch, number) == (2, 2):
        print("waiting", flush=True)
        until = time.monotonic() + 30
        while learner.stopped_by is None and time.monotonic() < until:
            time.sleep(0.005)
        print("asked to stop", flush=True)
        time.sleep(60 if mode == "wait and stall" else 0)

learner = toy.build(toy.builder(directory, {EPOCHS}).renderer(ml.renderers.CliRenderer(sys.stderr)))
learner.fit(toy.Watched(toy.train_loader(), at), toy.valid_loader())
sys.exit({{"SIGINT": 130, "SIGTERM": 143}}.get(learner.stopped_by, 0))
"""


class Process:
    """A run in a process of its own."""

    def __init__(self, environment: dict[str, str], *arguments: Path | str) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, line: str) -> None:
        assert self._running.stdout is not None
        for said in self._running.stdout:
            if said.strip() == line:
                return
        raise AssertionError(f"ended before {line}: {self._running.communicate()}")

    def send(self, number: int) -> None:
        self._running.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said on stderr."""
        _, said = self._running.communicate(timeout=30)
        return self._running.returncode, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    toy.fit(toy.builder(directory, EPOCHS))
    return toy.contents(directory)


def sessions(directory: Path) -> list[dict[str, Any]]:
    document = directory / "experiment.json"
    return json.loads(document.read_text())["sessions"] if document.exists() else []


@pytest.fixture
def finish(caplog: pytest.LogCaptureFixture) -> Callable[[Path], str]:
    """Goes on from the latest checkpoint to the end, in this process; what that said."""

    def finish(directory: Path) -> str:
        caplog.clear()
        assert toy.fit(toy.builder(directory, EPOCHS).checkpoint("latest")).stopped_by is None
        return caplog.text

    return finish


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_the_batch_saves_says_where_and_latest_goes_on(
    tmp_path: Path,
    environment: dict[str, str],
    whole: dict[str, bytes],
    finish: Finish,
    number: signal.Signals,
    code: int,
) -> None:
    run = tmp_path / "run"
    process = Process(environment, run, "wait")
    process.wait_for("waiting")
    process.send(number)
    exit_code, said = process.end()
    assert exit_code == code, said
    assert f"stopped in epoch 2 after 3 batches: {number.name}" in said
    assert "Traceback" not in said
    (session,) = sessions(run)
    assert (session["outcome"], session["reason"], session["position"]) == ("stopped", number.name, "2.3")
    assert toy.checkpoints(run)[-1] == "2.3"
    assert "Resumed from checkpoint 2.3" in finish(run)
    assert toy.contents(run) == whole


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_run_at_once(
    tmp_path: Path,
    environment: dict[str, str],
    whole: dict[str, bytes],
    finish: Finish,
    second: signal.Signals,
    code: int,
) -> None:
    run = tmp_path / "run"
    process = Process(environment, run, "wait and stall")
    process.wait_for("waiting")
    process.send(signal.SIGINT)
    process.wait_for("asked to stop")
    process.send(second)
    exit_code, said = process.end()
    assert exit_code == code, said
    assert toy.checkpoints(run) == ["1"]
    assert sessions(run)[0]["outcome"] == "failed"
    assert "Resumed from checkpoint 1" in finish(run)
    assert toy.contents(run) == whole


class Forked:
    """A run that goes on from the latest checkpoint, in a copy of this process, which is there at once."""

    def __init__(self, directory: Path, said: Path) -> None:
        self._said = said
        self._process = os.fork()
        if not self._process:
            ended = 1
            try:
                with said.open("w") as screen:
                    logging.basicConfig(stream=screen, force=True)
                    renderer = ml.renderers.CliRenderer(screen)
                    toy.fit(toy.builder(directory, EPOCHS).renderer(renderer).checkpoint("latest"), steady())
                ended = 0
            finally:
                os._exit(ended)

    def kill(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        os.kill(self._process, signal.SIGKILL)
        _, status = os.waitpid(self._process, 0)
        return os.waitstatus_to_exitcode(status), self._said.read_text() if self._said.exists() else ""


def steady() -> toy.Watched:
    return toy.Watched(toy.train_loader(), lambda epoch, number: time.sleep(0.004))


def test_a_run_killed_at_any_moment_goes_on_from_the_newest_complete_state_and_says_so(
    tmp_path: Path, whole: dict[str, bytes], finish: Finish
) -> None:
    run, moments, kills = tmp_path / "run", random.Random(0), 0
    while kills < 8:
        before = toy.checkpoints(run)
        process = Forked(run, tmp_path / "said")
        time.sleep(moments.uniform(0, 0.12))
        exit_code, said = process.kill()
        if exit_code == 0:  # it was faster
            assert toy.contents(run) == whole
            shutil.rmtree(run)
            continue
        assert exit_code == -signal.SIGKILL
        kills += 1
        if any(session["outcome"] == "completed" for session in sessions(run)):  # the kill came after the end
            assert toy.contents(run) == whole
            shutil.rmtree(run)
            continue
        if said:
            assert (f"Resumed from checkpoint {before[-1]} " if before else "starting at epoch 1") in said
    finish(run)
    assert toy.contents(run) == whole
    outcomes = [(session["outcome"], session["ended"] is None) for session in sessions(run)]
    assert set(outcomes[:-1]) <= {(None, True)}
    assert outcomes[-1] == ("completed", False)


def test_a_directory_whose_run_is_alive_in_another_process_takes_no_second_one(
    tmp_path: Path, environment: dict[str, str], whole: dict[str, bytes], finish: Finish
) -> None:
    run = tmp_path / "run"
    process = Process(environment, run, "wait")
    process.wait_for("waiting")
    with pytest.raises(DirectoryError, match="A directory can have only one writer at a time"):
        toy.fit(toy.builder(run, EPOCHS).checkpoint("latest"))
    assert len(sessions(run)) == 1
    process.send(signal.SIGTERM)
    assert process.end()[0] == 143
    finish(run)
    assert toy.contents(run) == whole
