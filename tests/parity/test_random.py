"""The same seed gives the same initial weights, dropout masks and draws on every framework."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, on_each

PAIRS = list(itertools.combinations(BACKENDS, 2))


@pytest.fixture(scope="module")
def draws(saving: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each installed framework draws, in a process of its own."""
    directory = tmp_path_factory.mktemp("draws")

    def draw(backend: str) -> dict[str, np.ndarray]:
        saving[backend].done(SCRIPTS / "draws.py", directory / f"{backend}.npz")
        with np.load(directory / f"{backend}.npz") as arrays:
            return dict(arrays)

    return on_each(draw)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_initial_weights_masks_integers_and_unseeded_uniform_draws_are_equal_bit_for_bit(
    draws: dict[str, dict[str, np.ndarray]], one: str, other: str
) -> None:
    exact = [{name: array for name, array in draws[each].items() if name.startswith("exact/")} for each in (one, other)]
    assert len(exact[0]) > 40 and list(exact[0]) == list(exact[1])
    for name, array in exact[0].items():
        np.testing.assert_array_equal(array, exact[1][name], err_msg=name)
        if name.split("/")[1] in ("convolutional", "recurrent", "attention"):
            assert (array.dtype, array.tobytes()) == (exact[1][name].dtype, exact[1][name].tobytes()), name


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_traced_floats_are_equal_to_nearly_the_last_digit(
    draws: dict[str, dict[str, np.ndarray]], one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith("near/")]
    assert len(names) == 22
    for name in names:
        np.testing.assert_allclose(draws[one][name], draws[other][name], 3e-6, 3e-6, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_differ_from_step_to_step_and_weights_from_seed_to_seed(
    draws: dict[str, dict[str, np.ndarray]], backend: str
) -> None:
    drawn = draws[backend]
    for k in range(3):
        masks = {drawn[f"exact/mask/{k}/{step}"].tobytes() for step in range(4)}
        assert len(masks) == 4
    assert not np.array_equal(drawn["exact/convolutional/0"], drawn["other seed"])
