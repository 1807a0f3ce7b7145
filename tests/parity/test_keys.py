"""A record of one framework fits the other: keys, types and shapes are the same."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DESCRIBE = Path(__file__).parents[1] / "contract" / "keyed_models.py"
BACKENDS = [name for name in ("torch", "tensorflow", "jax") if find_spec(name)]


@pytest.fixture(scope="module")
def keys() -> dict[str, dict[str, list[object]]]:
    """What each installed framework says of each model and optimizer, in a process of its own."""
    described = {}
    for backend in BACKENDS:
        environment = {**os.environ, "KERAS_BACKEND": backend, "MULTILEARN_BACKEND": backend}
        run = subprocess.run([sys.executable, DESCRIBE], env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        described[backend] = json.loads(run.stdout.splitlines()[-1])
    return described


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BACKENDS, 2)))
def test_keys_types_and_shapes_are_the_same_in_the_same_order(
    keys: dict[str, dict[str, list[object]]], one: str, other: str
) -> None:
    assert len(keys[one]) >= 10 + 18
    assert all(keys[one].values())
    assert keys[one] == keys[other]
