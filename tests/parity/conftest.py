"""The runs that several tests look at. Importing a framework takes seconds: most processes are forks of a warm one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import SCRIPTS, Warm, on_each, warm

__all__ = ["warm"]
EPOCHS = 4

# not modules but scripts, for processes of their own
collect_ignore = ["scripts"]


@pytest.fixture(scope="session")
def imported_to_describe(warm: Mapping[str, Warm]) -> Mapping[str, str]:
    """Which other frameworks each imports to describe a model: asked before anything else has imported them."""
    return on_each(lambda backend: warm[backend].done(SCRIPTS / "described.py").splitlines()[-1])


@pytest.fixture(scope="session")
def saving(warm: Mapping[str, Warm], imported_to_describe: Mapping[str, str]) -> Mapping[str, Warm]:
    """The same processes, now with TensorFlow: Keras imports it to save and to load, which takes each fork seconds."""
    on_each(lambda backend: warm[backend].load("tensorflow"))
    return warm


@pytest.fixture(scope="session")
def runs(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `digits-B`, and `seven-B` with seed 7 and one epoch, of each framework B."""
    folder = tmp_path_factory.mktemp("runs")

    def train(backend: str) -> None:
        warm[backend].train(folder / "digits-{backend}", "--epochs", EPOCHS)
        warm[backend].train(folder / f"seven-{backend}", "--epochs", 1, MULTILEARN_SEED="7")

    on_each(train)
    return folder


@pytest.fixture(scope="session")
def halves(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Two epochs of the example on each framework."""
    folder = tmp_path_factory.mktemp("halves")

    def train(backend: str) -> Path:
        warm[backend].train(folder / backend, "--epochs", 2)
        return folder / backend

    return on_each(train)
