"""The core's tests train on the toy backend of `tests/toy`, which is found as any third party's: by its entry point."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "toy"
VARIABLES = ("KERAS_BACKEND", "MULTILEARN_BACKEND", "MULTILEARN_SEED")

sys.path.insert(0, str(TOY))


@pytest.fixture(autouse=True)
def on_the_toy_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice of the caller's reaches a test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """For a process of its own: no choice made, the toy backend and the modules of this folder within reach."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    paths = [str(TOY), str(Path(__file__).parent), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def environment(clean_environment: dict[str, str]) -> dict[str, str]:
    """For a process of its own that trains on the toy backend."""
    return {**clean_environment, "MULTILEARN_BACKEND": "toy"}
