"""The core's tests train on the toy backend of `tests/toy`, which is found as any third party's: by its entry point."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import toy_experiment as toy
from support.environments import CHOICES, with_support


@pytest.fixture(autouse=True, scope="module")
def on_the_toy_backend() -> Iterator[None]:
    """No choice of the caller's reaches a test, or what a module makes once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CHOICES:
            patch.delenv(name, raising=False)
        patch.setenv("MULTILEARN_BACKEND", "toy")
        yield


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that has done two epochs of three, to copy."""
    path = tmp_path_factory.mktemp("half") / "run"
    toy.fit(toy.builder(path, 2))
    return path


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(half, tmp_path / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the run of three epochs."""
    path = tmp_path_factory.mktemp("whole") / "run"
    toy.fit(toy.builder(path))
    return path


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """For a process of its own: no choice made, the toy backend and `support` within reach."""
    return with_support(PYTHONUNBUFFERED="1")


@pytest.fixture
def environment(clean_environment: dict[str, str]) -> dict[str, str]:
    """For a process of its own that trains on the toy backend."""
    return {**clean_environment, "MULTILEARN_BACKEND": "toy"}
