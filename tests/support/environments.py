"""The environments of processes that tests start: nothing is chosen in them, and what tests import is within reach."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
TOY = TESTS / "toy"
EXAMPLES = TESTS.parent / "examples"
CHOICES = ("KERAS_BACKEND", "MULTILEARN_BACKEND", "MULTILEARN_DEVICES", "MULTILEARN_RENDERER", "MULTILEARN_SEED")


def unchosen(**variables: str) -> dict[str, str]:
    """This process' environment without any choice of a backend or seed, and with these variables."""
    return {**{name: value for name, value in os.environ.items() if name not in CHOICES}, **variables}


def with_support(*folders: Path, **variables: str) -> dict[str, str]:
    """The same, with these folders, this package and the toy backend where Python looks for modules."""
    paths = [*map(str, (*folders, TESTS, TOY)), *filter(None, [os.environ.get("PYTHONPATH")])]
    return unchosen(**{"PYTHONPATH": os.pathsep.join(paths), **variables})


def compiled_in(folder: Path) -> dict[str, str]:
    """The variables by which what JAX compiles is kept in a folder, for the next process."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
