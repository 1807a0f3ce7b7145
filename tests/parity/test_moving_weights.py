"""Weights that one framework trained predict the same on another, through every file format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, on_each

SCRIPT = SCRIPTS / "moved_weights.py"


@pytest.fixture(scope="module")
def trained(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each framework, with what a model trained on it leaves."""
    folder = tmp_path_factory.mktemp("weights")

    def write(backend: str) -> None:
        (folder / backend).mkdir()
        ended = warm[backend].run(SCRIPT, "write", folder / backend)
        assert ended.code == 0, ended.said

    on_each(write)
    return folder


@pytest.mark.parametrize("source", BACKENDS)
def test_weights_of_every_format_predict_the_same_on_every_framework(
    warm: Mapping[str, Warm], trained: Path, source: str
) -> None:
    def read(backend: str) -> dict[str, float]:
        ended = warm[backend].run(SCRIPT, "read", trained / source)
        assert ended.code == 0, ended.said
        return json.loads(ended.said.splitlines()[-1])

    for backend, differences in on_each(read).items():
        assert len(differences) == 6
        assert max(differences.values()) < 1e-6, (backend, differences)
