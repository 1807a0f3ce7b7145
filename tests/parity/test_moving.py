"""What moves from one framework to another: keys, weights in every format, and training that goes on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.environments import TESTS
from support.matrix import PAIRS, SCRIPT, Matrix, largest, made
from support.processes import BACKENDS, SCRIPTS, Warm, on_each

KEYED, WEIGHTS = TESTS / "support" / "keyed_models.py", SCRIPTS / "moved_weights.py"
# some of what `nox -s moving` does in full
CELLS = (
    "mlp, SGD momentum, mixed_float16",
    "mlp, Adafactor, float32",
    "cnn, Adam average, float32",
    "lstm, RMSprop, float32",
    "transformer, Muon, float32",
)


def printed(said: str) -> Any:
    """What a script printed last."""
    return json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def keys(warm: Mapping[str, Warm]) -> Mapping[str, dict[str, list[object]]]:
    """What each installed framework says of each model and optimizer, in a process of its own."""
    return on_each(lambda backend: printed(warm[backend].done(KEYED)))


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BACKENDS, 2)))
def test_keys_types_and_shapes_are_the_same_in_the_same_order(keys: Mapping[str, Any], one: str, other: str) -> None:
    assert len(keys[one]) >= 10 + 18
    assert all(keys[one].values())
    assert keys[one] == keys[other]


@pytest.fixture(scope="module")
def trained(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each framework, with what a model trained on it leaves."""
    folder = tmp_path_factory.mktemp("weights")
    on_each(lambda backend: warm[backend].done(WEIGHTS, "write", folder / backend))
    return folder


@pytest.mark.parametrize("source", BACKENDS)
def test_weights_of_every_format_predict_the_same_on_every_framework(
    warm: Mapping[str, Warm], trained: Path, source: str
) -> None:
    read = on_each(lambda backend: printed(warm[backend].done(WEIGHTS, "read", trained / source)))
    for backend, differences in read.items():
        assert len(differences) == 6
        assert max(differences.values()) < 1e-6, (backend, differences)


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
