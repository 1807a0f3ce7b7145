"""A game of two networks, each with its optimizer, is one experiment on every framework, and moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, epoch_values, on_each

EPOCHS, MOVED = 6, 3
SOURCE, *OTHERS = BACKENDS


@pytest.fixture(scope="module")
def games(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 60 batches on each framework; and with the first 30, of which another one has begun with 10."""
    folder = tmp_path_factory.mktemp("games")
    on_each(lambda backend: warm[backend].done(SCRIPTS / "game.py", folder / backend, EPOCHS))

    def move(backend: str) -> None:
        if backend != SOURCE:
            warm[backend].done(SCRIPTS / "game.py", folder / f"moved-{backend}", MOVED, folder / SOURCE)

    on_each(move)
    return folder


def expect_same_curves(run: Path, whole: Path, epochs: int) -> None:
    values, expected = epoch_values(run), epoch_values(whole)
    assert {metric for _, metric, _ in values} == {"Loss", "critic_Loss", "generator_Loss"}
    assert len(values) == 3 * epochs
    for key, value in values.items():
        # a difference of scores may be near zero
        assert value == pytest.approx(expected[key], rel=1e-5, abs=1e-6), key


@pytest.mark.parametrize("backend", OTHERS)
def test_the_curves_of_all_turns_agree_to_five_digits(games: Path, backend: str) -> None:
    expect_same_curves(games / backend, games / SOURCE, EPOCHS)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_game_that_moves_to_another_framework_keeps_its_curves(games: Path, backend: str) -> None:
    expect_same_curves(games / f"moved-{backend}", games / SOURCE, MOVED)
