"""The same seed gives the same initial weights, dropout masks and draws on every framework."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, on_each

PAIRS = list(itertools.combinations(BACKENDS, 2))


@pytest.fixture(scope="module")
def draws(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each installed framework draws, in a process of its own."""
    directory = tmp_path_factory.mktemp("draws")

    def draw(backend: str) -> dict[str, np.ndarray]:
        warm[backend].done(SCRIPTS / "draws.py", directory / f"{backend}.npz")
        with np.load(directory / f"{backend}.npz") as arrays:
            return dict(arrays)

    return on_each(draw)


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("what", ["convolutional", "recurrent", "attention"])
def test_initial_weights_are_equal_bit_for_bit(
    draws: dict[str, dict[str, np.ndarray]], what: str, one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith(f"exact/{what}/")]
    assert len(names) >= 4
    assert names == [name for name in draws[other] if name.startswith(f"exact/{what}/")]
    for name in names:
        assert draws[one][name].dtype == draws[other][name].dtype, name
        assert draws[one][name].tobytes() == draws[other][name].tobytes(), name


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_masks_integers_and_unseeded_uniform_draws_are_equal_bit_for_bit(
    draws: dict[str, dict[str, np.ndarray]], one: str, other: str
) -> None:
    names = [name for name in draws[one] if name.startswith("exact/")]
    assert len(names) > 40
    for name in names:
        np.testing.assert_array_equal(draws[one][name], draws[other][name], err_msg=name)


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
