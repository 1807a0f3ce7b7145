"""Jobs of Ray Train on a local cluster: the curve, workers that are killed, errors, Ray Tune: `nox -s ray`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.processes import BACKENDS, environment, until

pytest.importorskip("ray")

import multilearn_ray
from multilearn.errors import ConfigurationError, DataError, NonFiniteLoss, WorldError
from multilearn_ray.job import is_final

SCRIPTS = Path(__file__).parent / "scripts"
TRAINING = SCRIPTS / "training.py"
BACKEND = BACKENDS[0]
CLOSE = 1e-5
LIMIT = 300.0  # seconds that no job takes
# a stray size of a world is nobody's place
VARIABLES = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "WORLD_SIZE": "7", "RAY_ADDRESS": ""}


def command(*options: object, script: Path = TRAINING, arguments: tuple[object, ...]) -> list[str]:
    run = [sys.executable, "-m", "multilearn", "run", "-b", BACKEND, *options, script, "--", *arguments]
    return list(map(str, run))


def done(folder: Path, arguments: list[str]) -> str:
    """What it prints."""
    variables = environment(**VARIABLES)
    ended = subprocess.run(
        arguments, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def metric_files(run: Path) -> dict[str, bytes]:
    found = [path for split in ("train", "valid") for path in (run / split).rglob("*.log")]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in sorted(found)}


def apart(run: Path, other: Path) -> float:
    """The largest relative difference of any value in their metric files."""
    found, expected = (
        [float(value) for text in metric_files(each).values() for value in re.findall(rb"^[^,]+", text, re.M)]
        for each in (run, other)
    )
    assert len(found) == len(expected) > 0
    furthest = max(abs(a - b) / max(abs(a), abs(b), CLOSE) for a, b in zip(found, expected, strict=True))
    print(f"{run.name} and {other.name} are {furthest:.1e} apart")
    return furthest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the run `one`, of one process, and `two`, of two without Ray."""
    folder = tmp_path_factory.mktemp("ray")
    done(folder, command(arguments=("one", 3)))
    done(folder, command("--devices", 2, arguments=("two", 3)))
    return folder


@pytest.fixture
def start(folder: Path) -> Iterator[Any]:
    """Starts a job by the command, with its output in a file."""
    started = []

    def job(name: str, workers: int, *arguments: object) -> tuple[subprocess.Popen[bytes], Path]:
        output = folder / f"{name}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command("--ray", "local", "--workers", workers, arguments=arguments),
                cwd=folder,
                env=environment(**VARIABLES),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process, output

    yield job
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def in_second_epoch(folder: Path, run: str, process: subprocess.Popen[bytes]) -> None:
    file = folder / run / "train" / "epoch-2" / "Loss.log"
    until(lambda: file.exists() and file.stat().st_size, lambda: process.poll() is None)


def test_a_job_whose_worker_is_killed_has_the_bits_of_one_that_is_not(folder: Path, start: Any) -> None:
    process, output = start("killed", 2, "killed", 3)
    in_second_epoch(folder, "killed", process)
    workers = re.findall(r"pid=(\d+)\) world_rank=1", output.read_text())
    os.kill(int(workers[0]), signal.SIGKILL)
    assert process.wait(LIMIT) == 0, output.read_text()
    said = output.read_text()
    assert "Resumed from checkpoint 1" in said and said.count(") world_rank=1") == 2
    assert metric_files(folder / "killed") == metric_files(folder / "two")
    assert apart(folder / "killed", folder / "one") <= CLOSE


def test_ctrl_c_ends_a_job_which_another_number_of_workers_resumes(folder: Path, start: Any) -> None:
    process, output = start("stopped", 2, "stopped", 3)
    in_second_epoch(folder, "stopped", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 128 + signal.SIGINT, output.read_text()
    process, output = start("resumed", 1, "stopped", 3, "resume")
    assert process.wait(LIMIT) == 0, output.read_text()
    assert apart(folder / "stopped", folder / "one") <= CLOSE


def test_a_script_gives_its_exit_code(folder: Path, start: Any) -> None:
    process, output = start("exit", 2, 3)
    assert process.wait(LIMIT) == 3, output.read_text()
    assert output.read_text().count(") world_rank=0") == 1


@pytest.fixture(scope="module")
def found(folder: Path) -> Mapping[str, Any]:
    (folder / "jobs").mkdir()
    variables = environment(**VARIABLES, MULTILEARN_BACKEND=BACKEND)
    ended = subprocess.run(
        [sys.executable, SCRIPTS / "jobs.py"], cwd=folder / "jobs", env=variables, stdout=subprocess.PIPE, text=True
    )
    assert ended.returncode == 0
    said: Mapping[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return said


def test_a_function_returns_its_value_and_the_metrics_of_the_last_epoch(folder: Path, found: Mapping[str, Any]) -> None:
    function = found["function"]
    assert metric_files(folder / "jobs" / "function") == metric_files(folder / "two")
    assert list(function["metrics"]) == ["epoch", "train/Loss", "train/Accuracy", "valid/Loss", "valid/Accuracy"]
    assert function["metrics"]["epoch"] == len(function["returned"]) == 3
    assert function["metrics"]["valid/Loss"] == function["returned"][-1]


def test_metrics_reach_a_trial_of_ray_tune(found: Mapping[str, Any]) -> None:
    assert found["trial"] == found["function"]["metrics"]


def test_what_would_fail_again_is_not_started_again(found: Mapping[str, Any]) -> None:
    # two have begun in the job that made the directory
    assert found["refused"] == {"error": "DirectoryError", "begun": 4}
    assert found["diverged"] == {"error": "NonFiniteLoss", "begun": 2}
    assert found["failing"] == {"error": "OSError", "begun": 4}


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ConfigurationError("no"), True),
        (DataError("no"), True),
        (NonFiniteLoss("no"), True),
        (SystemExit(1), True),
        (KeyboardInterrupt(), True),
        (WorldError("no"), False),
        (OSError("no"), False),
    ],
)
def test_which_errors_are_final(error: BaseException, final: bool) -> None:
    assert is_final(error) is final


@pytest.mark.parametrize(
    ("work", "options", "said"),
    [
        ("nowhere.py", {"workers": 2}, "'nowhere.py'"),
        (TRAINING, {}, "workers must be a whole number of at least 1"),
        (TRAINING, {"workers": 0}, "workers must be a whole number of at least 1"),
        (TRAINING, {"workers": (2, 1)}, "The most workers are at least the fewest"),
        (TRAINING, {"workers": 2, "config": {}}, "config is that of a function"),
        (print, {"workers": 2, "arguments": ["a"]}, "Arguments are those of a script"),
        (print, {"workers": 2, "backend": "troch"}, "Did you mean 'torch'?"),
    ],
)
def test_what_does_not_go_together_is_refused(work: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        multilearn_ray.trainer(work, **options)
