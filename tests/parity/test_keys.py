"""A record of one framework fits the other: keys, types and shapes are the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

import pytest
from support.environments import TESTS
from support.processes import BACKENDS, Warm, on_each

DESCRIBE = TESTS / "support" / "keyed_models.py"


@pytest.fixture(scope="module")
def keys(warm: Mapping[str, Warm]) -> dict[str, dict[str, list[object]]]:
    """What each installed framework says of each model and optimizer, in a process of its own."""

    def describe(backend: str) -> dict[str, list[object]]:
        ended = warm[backend].run(DESCRIBE)
        assert ended.code == 0, ended.said
        return json.loads(ended.said.splitlines()[-1])

    return on_each(describe)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BACKENDS, 2)))
def test_keys_types_and_shapes_are_the_same_in_the_same_order(
    keys: dict[str, dict[str, list[object]]], one: str, other: str
) -> None:
    assert len(keys[one]) >= 10 + 18
    assert all(keys[one].values())
    assert keys[one] == keys[other]
