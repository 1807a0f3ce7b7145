"""Runs on one backend, that of `MULTILEARN_BACKEND` (the toy one of `tests/toy` if nothing is chosen)."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.running import Calls, Order, Warm, Whole, calls_of
from support.wire import Fault

IN_THE_THIRD_EPOCH = Fault("write", "metrics", 22, "half")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=10, help="how often runs are killed")
    parser.addoption("--chance", type=int, default=1, help="the seed of when they are")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A process that has imported the framework."""
    if not sys.platform.startswith("linux"):
        pytest.skip("forks, adopts what a killed process leaves behind, and asks /proc: on Linux only")
    backend = os.environ.get("MULTILEARN_BACKEND", "toy")
    process = Warm(backend, tmp_path_factory.mktemp(backend))
    yield process
    process.close()


@pytest.fixture(scope="session")
def whole(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    directory = tmp_path_factory.mktemp("whole") / "run"
    warm.train(tmp_path_factory.mktemp("first") / "run")  # compilers remember what they made of it
    begun = time.monotonic()
    ended = warm.train(directory)
    assert ended.code == 0, ended.said
    return Whole(directory, ended, calls_of(ended), time.monotonic() - begun)


@pytest.fixture(scope="session")
def stopped(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that was killed in its third epoch, with a checkpoint and metric files from inside it."""
    directory = tmp_path_factory.mktemp("stopped") / "run"
    assert warm.train(directory, Order(IN_THE_THIRD_EPOCH)).killed
    assert (directory / "train/epoch-3/Loss.log").is_file()
    return directory


@pytest.fixture(scope="session")
def resuming(warm: Warm, stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """The calls of a run that goes on inside an epoch."""
    copy = shutil.copytree(stopped, tmp_path_factory.mktemp("resuming") / "run")
    return calls_of(warm.train(copy))
