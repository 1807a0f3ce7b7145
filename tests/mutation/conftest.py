"""Mutated files are read in a process that has little memory, on the toy backend of `tests/toy`.

`MULTILEARN_MUTATIONS=10000` is what the nox session `mutation` asks for; a few hundred are among the tests that must
pass, always the same ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
FOLDERS = [str(HERE), str(HERE.parent / "toy"), str(HERE.parent / "core")]
sys.path[:0] = [folder for folder in FOLDERS if folder not in sys.path]

from harness import Readers  # noqa: E402  (found where the line above says)

hypothesis.settings.register_profile(
    "mutations",
    hypothesis.settings.get_profile("unhurried"),
    derandomize="MULTILEARN_MUTATIONS" not in os.environ,
    suppress_health_check=list(hypothesis.HealthCheck),
    print_blob=True,
)


@pytest.fixture(scope="session")
def readers() -> Iterator[Readers]:
    chosen = ("KERAS_BACKEND", "MULTILEARN_BACKEND", "MULTILEARN_SEED")
    kept = {name: value for name, value in os.environ.items() if name not in chosen}
    paths = [*FOLDERS, *filter(None, [kept.get("PYTHONPATH")])]
    working = Readers({**kept, "MULTILEARN_BACKEND": "toy", "PYTHONPATH": os.pathsep.join(paths)})
    yield working
    working.end()
