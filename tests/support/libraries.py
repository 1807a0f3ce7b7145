"""Libraries that a test is for, and that need not be installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import pytest


def needs(library: str) -> Any:
    """The library, where it is installed. A framework that does not train is imported after the one that does."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return importlib.import_module(library)
