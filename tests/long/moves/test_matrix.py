"""Models under all optimizers and policies, trained on one framework and on with on another: `nox -s moving`."""

from __future__ import annotations

import keras
import pytest
from support.matrix import PAIRS, Matrix, largest
from support.processes import BACKENDS


def test_every_cell_runs(matrix: Matrix) -> None:
    assert not list(matrix.failed())
    assert len(matrix.cells) > 70


def test_every_optimizer_of_keras_is_among_them(matrix: Matrix) -> None:
    kinds = {name for name, each in vars(keras.optimizers).items() if isinstance(each, type)}
    named = {word for cell in matrix.cells for word in cell.replace(",", "").split()}
    # the class of all, what names several, and what is refused
    assert kinds - named <= {"Optimizer", "OptimizerMap", "LossScaleOptimizer", "MultiOptimizer"}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_variable_arrives_bit_for_bit(matrix: Matrix, source: str, target: str) -> None:
    for cell in matrix.cells:
        sent = matrix.sent(source, cell)
        assert len(sent) > 4, cell
        assert matrix.arrived(source, target, cell) == sent, cell


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_next_losses_agree(matrix: Matrix, source: str, target: str) -> None:
    for cell in matrix.cells:
        apart = matrix.apart(source, target, cell)
        print(f"{source} -> {target}, {cell}: {apart:.1e}")
        assert apart <= largest(source, target, cell), cell


def test_the_loss_changes_while_it_is_trained(matrix: Matrix) -> None:
    assert all(first != last for first, last in (matrix.learned(BACKENDS[0], cell) for cell in matrix.cells))
