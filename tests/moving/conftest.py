"""The whole matrix, made once: each framework in a process that writes, and in one that goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

from matrix import SCRIPT, Matrix, made
from processes import BACKENDS, environment


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Every cell, on every pair."""
    folder = tmp_path_factory.mktemp("matrix")
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }

    def run(arguments: list[str]) -> None:
        for backend in BACKENDS:
            variables = environment(MULTILEARN_BACKEND=backend, **compiled)
            ended = subprocess.run([sys.executable, SCRIPT, *arguments], env=variables, capture_output=True, text=True)
            assert ended.returncode == 0, ended.stderr

    return made(run, folder)
