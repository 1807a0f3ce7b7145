"""What moves from one framework to another: keys, weights in every format, and training that goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.environments import TESTS
from support.matrix import PAIRS, SCRIPT, Matrix, largest, made
from support.processes import BACKENDS, SCRIPTS, Warm, on_each

KEYED, WEIGHTS = TESTS / "support" / "keyed_models.py", SCRIPTS / "moved_weights.py"
# some of what `nox -s moving` does in full
CELLS = (
    "mlp, Adafactor, float32",
    "cnn, SGD momentum, mixed_float16",
    "lstm, Adam average, float32",
)


def printed(said: str) -> Any:
    """What a script printed last."""
    return json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def keys(saving: Mapping[str, Warm]) -> Mapping[str, dict[str, list[object]]]:
    """What each installed framework says of each model and optimizer, in a process of its own."""
    return on_each(lambda backend: printed(saving[backend].done(KEYED)))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BACKENDS, 2)))
def test_keys_types_and_shapes_are_the_same_in_the_same_order(keys: Mapping[str, Any], one: str, other: str) -> None:
    assert len(keys[one]) >= 10 + 18
    assert all(keys[one].values())
    assert keys[one] == keys[other]


@pytest.fixture(scope="module")
def differences(
    saving: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, dict[str, dict[str, float]]]:
    """What each framework says of the files that a model trained on each leaves: by target, source and file."""
    folder = tmp_path_factory.mktemp("weights")
    on_each(lambda backend: saving[backend].done(WEIGHTS, "write", folder / backend))
    written = [folder / backend for backend in BACKENDS]
    return on_each(lambda backend: printed(saving[backend].done(WEIGHTS, "read", *written)))


@pytest.mark.parametrize("source", BACKENDS)
def test_weights_of_every_format_predict_the_same_on_every_framework(
    differences: Mapping[str, dict[str, dict[str, float]]], source: str
) -> None:
    for backend in BACKENDS:
        found = differences[backend][source]
        assert len(found) == 6
        assert max(found.values()) < 1e-6, (backend, found)


@pytest.fixture(scope="module")
def matrix(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    def run(arguments: list[str]) -> None:
        on_each(lambda backend: warm[backend].done(SCRIPT, *arguments))

    return made(run, tmp_path_factory.mktemp("matrix"), *CELLS)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_variable_arrives_bit_for_bit_and_the_next_losses_agree(matrix: Matrix, source: str, target: str) -> None:
    assert not list(matrix.failed())
    for cell in CELLS:
        sent = matrix.sent(source, cell)
        # kernel and bias of two layers at least, and a slot for each
        assert len(sent) > 8
        assert matrix.arrived(source, target, cell) == sent, cell
        assert matrix.apart(source, target, cell) <= largest(source, target, cell), cell
