"""The command line as a user has it: a process of its own, with two toy backends that need no framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.environments import TESTS, unchosen

from multilearn import cli

Command = Callable[..., subprocess.CompletedProcess[str]]

TOYS = """
class Toy:
    def __init__(self, *devices):
        self._devices = devices

    def devices(self):
        print("devices are being looked for")
        return self._devices


def alpha():
    return Toy("cpu:0", "gpu:0")


def beta():
    raise RuntimeError("beta has no driver")
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """This process's environment without any choice in it, and with the backends `alpha` and `beta` installed."""
    toys = tmp_path_factory.mktemp("toys")
    (toys / "toy_backends.py").write_text(TOYS)
    installed = toys / "toy_backends-1.5.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-backends\nVersion: 1.5\n")
    (installed / "entry_points.txt").write_text(
        "[multilearn.backends]\nalpha = toy_backends:alpha\nbeta = toy_backends:beta\n"
    )
    paths = [str(toys), *filter(None, [os.environ.get("PYTHONPATH")])]
    chosen = unchosen(PYTHONPATH=os.pathsep.join(paths))
    return {name: value for name, value in chosen.items() if name not in ("PYTHONUNBUFFERED", "FORCE_COLOR")}


class Warm:
    """Runs commands in forks of a process that has imported what they use.

    How it reads and writes its own streams is decided when it is started, by its environment.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._output = [str(folder / "stdout"), str(folder / "stderr")]
        command = [sys.executable, str(TESTS / "support" / "warm_command.py")]
        self._process = subprocess.Popen(
            command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, directory: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        assert self._process.stdin and self._process.stdout
        request = {
            "directory": str(directory),
            "environment": {**self._environment, **variables},
            "arguments": [os.fsencode(str(argument)).hex() for argument in arguments],
            "output": self._output,
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(Path(path).read_text() for path in self._output))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Warm]]:
    """Starts such a process with an environment, once for each."""
    started: dict[frozenset[tuple[str, str]], Warm] = {}

    def start(environment: Mapping[str, str]) -> Warm:
        key = frozenset(environment.items())
        if key not in started:
            started[key] = Warm(environment, tmp_path_factory.mktemp("warm"))
        return started[key]

    yield start
    for each in started.values():
        each.close()


@pytest.fixture
def multilearn(environment: Mapping[str, str], warm: Callable[..., Warm], tmp_path: Path) -> Command:
    """Runs `multilearn ...` in `tmp_path` to its end, in a process of its own."""

    def command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return warm({**environment, "OMP_NUM_THREADS": "1"}).run(tmp_path, *arguments, **variables)

    return command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `multilearn ...` in `tmp_path` in this process, which takes a fiftieth of the time of another one."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["multilearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output = capsys.readouterr()
        assert isinstance(ended.value.code, int) and "Traceback" not in output.err
        return subprocess.CompletedProcess(arguments, ended.value.code, output.out, output.err)

    return command


@pytest.fixture
def session() -> Callable[..., dict[str, Any]]:
    """One entry of `sessions`, of a process that came to its end."""

    def entry(backend: str, **changed: Any) -> dict[str, Any]:
        return {
            "started": "2026-01-02T03:04:05+00:00",
            "ended": "2026-01-02T03:05:05+00:00",
            "outcome": "completed",
            "reason": None,
            "error": None,
            "backend": backend,
            "versions": {"keras": "3.15.1"},
            "device": "cpu:0",
            "resumed_from": None,
            "position": "2",
            **changed,
        }

    return entry


@pytest.fixture
def write_run(tmp_path: Path, session: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Writes a run directory by its documented format: `files` maps `"train/1/Loss"` to the lines of that file."""

    def write(name: str, files: Mapping[str, Sequence[str]], backend: str = "torch", **declared: Any) -> Path:
        directory = tmp_path / name
        for key, lines in files.items():
            split, epoch, metric = key.split("/")
            path = directory / split / f"epoch-{epoch}" / f"{metric}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines))
        experiment = {
            "version": 1,
            "seed": 42,
            "weights_sha256": "ab" * 32,
            "metrics": [
                {"name": "Loss", "unit": "", "numeric": True, "plotted": True, "splits": ["train", "valid"]},
                {"name": "Accuracy", "unit": "share", "numeric": True, "plotted": True, "splits": ["train", "valid"]},
            ],
            "builder": {},
            "optimizer": {},
            "scheduler": {},
            "sessions": [session(backend)],
        }
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "experiment.json").write_text(json.dumps({**experiment, **declared}))
        return directory

    return write
