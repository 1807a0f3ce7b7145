"""Processes on each framework, and what they leave in their directories."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pytest

from support.environments import EXAMPLES, TESTS, compiled_in, unchosen

BACKENDS = [name for name in ("torch", "tensorflow", "jax") if find_spec(name)]
SCRIPTS = TESTS / "parity" / "scripts"
DIGITS = EXAMPLES / "digits.py"
LIMIT = 120.0  # seconds that nothing here takes

T = TypeVar("T")


def environment(**variables: str) -> dict[str, str]:
    """This process', with nothing chosen and a single thread for each process."""
    return {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **unchosen(**variables)}


def on_each(work: Callable[[str], T]) -> dict[str, T]:
    """What `work` returns of each framework; they run side by side."""
    with ThreadPoolExecutor(len(BACKENDS)) as pool:
        return dict(zip(BACKENDS, pool.map(work, BACKENDS), strict=True))


def until(condition: Callable[[], T], running: Callable[[], bool] = lambda: True) -> T:
    """Wait for something to be true while something is running."""
    give_up = time.monotonic() + LIMIT
    while not (found := condition()):
        assert running(), "it ended before that"
        assert time.monotonic() < give_up, "it takes too long"
        time.sleep(0.005)
    return found


@dataclass(frozen=True)
class Ended:
    """How a script ended: its exit code (-n: signal n), what it wrote, and how many processes it left behind."""

    code: int
    said: str
    orphans: int


class Running:
    """A script in a fork of a warm process."""

    def __init__(self, warm: Forking, pid: int, output: Path) -> None:
        self.pid = pid
        self._warm = warm
        self._output = output

    def said(self) -> str:
        """What it wrote so far."""
        return self._output.read_text(encoding="utf-8") if self._output.exists() else ""

    def lives(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()

    def send(self, number: signal.Signals) -> None:
        # the process that forks may have collected it in this very moment
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        code = int(self._warm.answer())
        return Ended(code, self.said(), int(self._warm.answer()))


class Forking:
    """A process that has imported what scripts need, and runs one after the other in forks of itself."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._scripts = 0
        self._process = subprocess.Popen(
            [sys.executable, TESTS / "support" / "forking.py"],
            env={**compiled_in(folder / "compiled"), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, script: Path, *arguments: object, directory: Path | None = None, **variables: str) -> Running:
        self._scripts += 1
        output = self._folder / f"{self._scripts}.txt"
        request = {
            "script": str(script),
            "arguments": [str(argument) for argument in arguments],
            "variables": variables,
            "directory": str(directory or self._folder),
            "output": str(output),
        }
        return Running(self, int(self._asked(request)), output)

    def load(self, module: str) -> None:
        """Import a module, for all scripts from now on."""
        assert self._asked({"module": module}) == "imported\n"

    def run(self, script: Path, *arguments: object, directory: Path | None = None, **variables: str) -> Ended:
        return self.start(script, *arguments, directory=directory, **variables).wait()

    def _asked(self, request: Mapping[str, object]) -> str:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self._process.stdout
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Warm(Forking):
    """On one framework, for the example of the digits and other scripts."""

    def __init__(self, backend: str, folder: Path) -> None:
        super().__init__(folder, environment(MULTILEARN_BACKEND=backend))

    def done(self, script: Path, *arguments: object, directory: Path | None = None, **variables: str) -> str:
        """What a script said that must come to a good end."""
        ended = self.run(script, *arguments, directory=directory, **variables)
        assert ended.code == 0, ended.said
        return ended.said

    def train(self, directory: Path, *options: object, **variables: str) -> str:
        return self.done(DIGITS, "--directory", directory, *options, **variables)

    def paused(self, where: str, *arguments: object) -> tuple[Running, Path]:
        """The example where it waits before a batch, and the file to remove to let it go on."""
        file = self._folder / "paused"
        running = self.start(SCRIPTS / "pausing.py", where, file, DIGITS, *arguments)
        until(file.exists, running.lives)
        return running, file


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Warm]]:
    """A process on each framework, ready to run scripts."""
    processes = {backend: Warm(backend, tmp_path_factory.mktemp(backend)) for backend in BACKENDS}
    yield processes
    for process in processes.values():
        process.close()


def files(directory: Path, *folders: str) -> dict[str, bytes]:
    """Every file in these folders of a run (or in all of it), and every folder with nothing in it, by its path."""
    found = {}
    for path in [path for folder in folders or (".",) for path in sorted((directory / folder).rglob("*"))]:
        name = path.relative_to(directory).as_posix()
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{name}/"] = b""
    return found


def metric_files(directory: Path, *epochs: int) -> dict[str, bytes]:
    """The metric files of these epochs, or of all."""
    found = files(directory, "train", "valid")
    wanted = {f"epoch-{epoch}" for epoch in epochs}
    return {path: text for path, text in found.items() if not epochs or path.split("/")[1] in wanted}


def expect_equal_runs(run: Path, other: Path) -> None:
    """Metric files byte for byte; the same checkpoints, with the same content."""
    assert metric_files(run) == metric_files(other)
    checkpoints, others = files(run, "checkpoint"), files(other, "checkpoint")
    assert list(checkpoints) == list(others)
    for path in checkpoints:
        if path.endswith(".gz"):
            assert gzip.decompress(checkpoints[path]) == gzip.decompress(others[path]), path


def epoch_values(directory: Path) -> Mapping[tuple[str, str, int], float]:
    """The exact value after each epoch, by split, metric and epoch."""
    values = {}
    for path, text in metric_files(directory).items():
        split, epoch, metric = path.removesuffix(".log").split("/")
        value, final = text.decode().splitlines()[-1].split(",")
        assert final == "final", path
        values[split, metric, int(epoch.removeprefix("epoch-"))] = float(value)
    return values
