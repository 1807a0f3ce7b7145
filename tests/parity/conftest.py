"""The runs that several tests look at. Importing a framework takes seconds: most processes are forks of a warm one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import BACKENDS, DIGITS, Warm, environment, on_each

EPOCHS = 4

# not modules but scripts, for processes of their own
collect_ignore = ["scripts"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `digits-B` (seed 42) and `seven-B` (seed 7, one epoch) of each backend B, by `multilearn run`."""
    folder = tmp_path_factory.mktemp("runs")
    named = [option for backend in BACKENDS for option in ("--backend", backend)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "multilearn", "run", str(DIGITS), *named, *arguments]
        return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, "--", "--epochs", str(EPOCHS), "--directory", "digits-{backend}")
        other = pool.submit(run, "--seed", "7", "--", "--epochs", "1", "--directory", "seven-{backend}")
        for ended in (first.result(), other.result()):
            assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Warm]]:
    """A process on each framework, ready to run scripts."""
    processes = {backend: Warm(backend, tmp_path_factory.mktemp(backend)) for backend in BACKENDS}
    yield processes
    for process in processes.values():
        process.close()


@pytest.fixture(scope="session")
def halves(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two epochs of the example on each framework."""
    folder = tmp_path_factory.mktemp("halves")

    def train(backend: str) -> Path:
        warm[backend].train(folder / backend, "--epochs", 2)
        return folder / backend

    return on_each(train)
