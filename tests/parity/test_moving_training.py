"""Some of what `nox -s moving` does in full: all pairs of (trained on, gone on with on), variables and next losses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.matrix import PAIRS, SCRIPT, Matrix, largest, made
from support.processes import Warm, on_each

CELLS = (
    "mlp, SGD momentum, mixed_float16",
    "mlp, Adafactor, float32",
    "cnn, Adam average, float32",
    "lstm, RMSprop, float32",
    "transformer, Muon, float32",
)


@pytest.fixture(scope="module")
def matrix(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    def run(arguments: list[str]) -> None:
        for backend, ended in on_each(lambda backend: warm[backend].run(SCRIPT, *arguments)).items():
            assert ended.code == 0, (backend, ended.said)

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
