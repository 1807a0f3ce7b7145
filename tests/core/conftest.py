"""The core's tests train on the toy backend of `tests/toy`, which is found as any third party's: by its entry point."""

from __future__ import annotations

import pytest
from support.environments import CHOICES, with_support


@pytest.fixture(autouse=True)
def on_the_toy_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """No choice of the caller's reaches a test."""
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """For a process of its own: no choice made, the toy backend and `support` within reach."""
    return with_support(PYTHONUNBUFFERED="1")


@pytest.fixture
def environment(clean_environment: dict[str, str]) -> dict[str, str]:
    """For a process of its own that trains on the toy backend."""
    return {**clean_environment, "MULTILEARN_BACKEND": "toy"}
