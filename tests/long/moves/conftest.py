"""The whole matrix, made once: each framework in a process that writes, and in one that goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.environments import compiled_in
from support.matrix import SCRIPT, Matrix, made
from support.processes import BACKENDS, environment


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Every cell, on every pair."""
    folder = tmp_path_factory.mktemp("matrix")
    compiled = compiled_in(tmp_path_factory.mktemp("compiled"))

    def run(arguments: list[str]) -> None:
        for backend in BACKENDS:
            variables = environment(MULTILEARN_BACKEND=backend, **compiled)
            ended = subprocess.run([sys.executable, SCRIPT, *arguments], env=variables, capture_output=True, text=True)
            assert ended.returncode == 0, ended.stderr

    return made(run, folder)
