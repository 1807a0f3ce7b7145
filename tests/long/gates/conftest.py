"""Runs of the models on every framework, each made when a test first asks for it, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.processes import BACKENDS, Warm, on_each, warm

# not modules but scripts, for processes of their own
collect_ignore = ["scripts"]

__all__ = ["warm"]
Runs = Callable[..., Mapping[str, Path]]


@pytest.fixture(scope="session")
def runs(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """`runs(model, updates, *options)`: the directory of that run on each framework."""
    folder = tmp_path_factory.mktemp("runs")
    script = Path(__file__).parent / "scripts" / "trained.py"
    made: dict[tuple[object, ...], Mapping[str, Path]] = {}

    def run(model: str, updates: int, *options: object) -> Mapping[str, Path]:
        asked = model, updates, *options
        if asked not in made:
            name = "-".join(str(part).strip("-") for part in asked)
            directories = {backend: folder / f"{name}-{backend}" for backend in BACKENDS}
            on_each(lambda backend: warm[backend].done(script, model, directories[backend], updates, *options))
            made[asked] = directories
        return made[asked]

    return run
