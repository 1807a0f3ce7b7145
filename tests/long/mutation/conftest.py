"""Mutated files are read in a process that has little memory, on the toy backend of `tests/toy`.

`MULTILEARN_MUTATIONS=10000` is what the nox session `mutation` asks for; a few hundred are among the tests that must
pass, always the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from support.environments import with_support
from support.harness import Readers

hypothesis.settings.register_profile(
    "mutations",
    hypothesis.settings.get_profile("unhurried"),
    derandomize="MULTILEARN_MUTATIONS" not in os.environ,
    suppress_health_check=list(hypothesis.HealthCheck),
    print_blob=True,
)


@pytest.fixture(scope="session")
def readers() -> Iterator[Readers]:
    working = Readers(with_support(MULTILEARN_BACKEND="toy"))
    yield working
    working.end()
