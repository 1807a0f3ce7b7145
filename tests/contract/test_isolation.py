"""One environment, one framework: what passes here passes without the others."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from multilearn import backend


@pytest.mark.usefixtures("isolated")
def test_no_other_framework_is_installed() -> None:
    assert [name for name in ("torch", "tensorflow", "jax") if find_spec(name)] == [backend.chosen()]
