"""Gamma and beta numbers: the right distributions, from tables whose bits are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats
from support.programs import compiled

from multilearn.errors import ConfigurationError
from multilearn_keras.random import gamma, seeds

BACKEND = keras.backend.backend()
FRAMEWORK = import_module(f"keras.src.backend.{BACKEND}")
MANY = 30_000


@pytest.fixture(autouse=True)
def seeded() -> None:
    seeds.reset(20)


def numbers(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(tensor, "float64" if BACKEND != "jax" else "float32")).astype("float64")


def key(seed: int) -> np.ndarray:
    """What a draw takes of a generator with this seed, at its first."""
    return ops.convert_to_numpy(keras.random.SeedGenerator(seed).state)


# of parameters on the device, so that all have one program
MANY_GAMMA = compiled(lambda alpha, seed: keras.random.gamma((MANY,), alpha, seed=seed))
MANY_BETA = compiled(lambda alpha, beta, seed: keras.random.beta((MANY,), alpha, beta, seed=seed))


def on_device(*values: float) -> list[Any]:
    return [ops.convert_to_tensor(value, "float32") for value in values]


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.9, 1.0, 1.5, 4.0, 60.0, 1e5])
def test_gamma_numbers_are_distributed_so(alpha: float) -> None:
    drawn = numbers(MANY_GAMMA(*on_device(alpha), ops.convert_to_tensor(key(3))))
    assert stats.kstest(drawn, stats.gamma(alpha).cdf).pvalue > 1e-4
    assert abs(drawn.mean() - alpha) < 4.5 * np.sqrt(alpha / MANY)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 8.0), (2.0, 5.0), (300.0, 700.0)])
def test_beta_numbers_are_distributed_so(alpha: float, beta: float) -> None:
    drawn = numbers(MANY_BETA(*on_device(alpha, beta), ops.convert_to_tensor(key(4))))
    assert stats.kstest(drawn, stats.beta(alpha, beta).cdf).pvalue > 1e-4


@pytest.mark.parametrize("small", [0.2, 0.01, 1e-4])
def test_beta_of_small_parameters_is_near_0_or_1_and_never_nan(small: float) -> None:
    drawn = numbers(MANY_BETA(*on_device(small, small), ops.convert_to_tensor(key(5))))
    assert not np.isnan(drawn).any()
    for low, high in ((-1.0, 1e-3), (1e-3, 0.999)):  # float32 has few numbers near 1
        expected = np.diff(stats.beta(small, small).cdf([low, high]))[0]
        share = np.mean((low < drawn) & (drawn <= high))
        assert abs(share - expected) < 4.5 * np.sqrt(expected * (1 - expected) / MANY) + 1e-9


def test_parameters_broadcast_to_the_shape() -> None:
    alpha, beta = np.array([[0.5], [50.0]], "float32"), np.array([1.0, 2.0, 30.0])

    @compiled
    def drawn(alpha: Any, seed: Any) -> tuple[Any, Any]:
        of_gamma = keras.random.gamma((400, 2, 3), np.array([[0.5], [50.0]], "float32"), seed=seed)
        return of_gamma, keras.random.beta((400, 2, 3), alpha, beta, seed=seed)

    of_gamma, of_beta = drawn(ops.convert_to_tensor(alpha), ops.convert_to_tensor(key(7)))
    assert np.abs(numbers(of_gamma).mean((0, 2)) / [0.5, 50.0] - 1).max() < 0.15
    np.testing.assert_allclose(numbers(of_beta).mean(0), alpha / (alpha + beta), atol=0.08)


@pytest.mark.parametrize(("draw", "values"), [(keras.random.gamma, (0.3,)), (keras.random.beta, (0.3, 4.0))])
def test_a_number_and_a_tensor_of_it_draw_the_same(draw: Callable[..., Any], values: tuple[float, ...]) -> None:
    of_numbers = compiled(lambda seed: draw((50,), *values, seed=seed))(ops.convert_to_tensor(key(3)))
    of_tensors = compiled(lambda *values: draw((50,), *values, seed=3))(*map(ops.convert_to_tensor, values))
    np.testing.assert_array_equal(numbers(of_tensors), numbers(of_numbers))


# in double precision JAX computes only where the process asks for it
TYPES = ("float16", "bfloat16", "float32", *(() if BACKEND == "jax" else ("float64",)))


@pytest.fixture(scope="module")
def of_types() -> dict[str, list[Any]]:
    """Gamma and beta numbers of each type, with the same seed."""

    @compiled
    def drawn(seed: Any) -> dict[str, list[Any]]:
        return {
            dtype: [
                keras.random.gamma((300,), 2.5, dtype=dtype, seed=seed),
                keras.random.beta((300,), 0.6, 3.0, dtype=dtype, seed=seed),
            ]
            for dtype in TYPES
        }

    return drawn(ops.convert_to_tensor(key(3)))


@pytest.mark.parametrize("dtype", TYPES)
def test_every_float_type_is_one_rounding_of_the_same_numbers(dtype: str, of_types: dict[str, list[Any]]) -> None:
    rounding = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-6, "float64": 2e-6}[dtype]
    for drawn, single in zip(of_types[dtype], of_types["float32"], strict=True):
        assert keras.backend.standardize_dtype(drawn.dtype) == dtype
        np.testing.assert_allclose(numbers(drawn), numbers(single), rounding, 1e-4)
    if dtype == "float64":
        drawn = numbers(of_types[dtype][0])
        assert np.mean(drawn != drawn.astype("float32")) > 0.9


@pytest.mark.parametrize(
    "draw",
    [
        lambda: keras.random.gamma((2,), 0.0),
        lambda: keras.random.gamma((2,), float("nan")),
        lambda: keras.random.beta((2,), 1.0, -1.0),
    ],
)
def test_parameters_that_no_distribution_has_are_refused(draw: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        draw()


def test_and_are_nan_where_only_the_device_knows() -> None:
    values = ops.convert_to_tensor([-1.0, 0.0, float("nan"), 2.0])
    for drawn in compiled(lambda x: (keras.random.gamma((4,), x, seed=1), keras.random.beta((4,), 1.0, x, seed=1)))(
        values
    ):
        assert np.isnan(numbers(drawn)).tolist() == [True, True, True, False]


REFERENCES: dict[str, tuple[gamma.Table, Callable[[np.ndarray], np.ndarray], float, float]] = {
    "normal": (gamma.NORMAL, lambda x: -special.ndtri(x * 2.0**-32), 1, 2.0**31),
    "waiting": (gamma.WAITING, lambda x: -np.log(x * 2.0**-31), 1, 2.0**31),
    "refusal": (
        gamma._REFUSAL,
        lambda w: (3 * (w - 1) - 1.5 * (w - 1) ** 2 + (w - 1) ** 3 - 3 * np.log(w)) / (w - 1) ** 4 / 9,
        1e-4,
        0.8,
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_tables_hold_the_functions(name: str) -> None:
    table, function, low, high = REFERENCES[name]
    x = np.geomspace(low, high, 5001).astype("float32")
    found = numbers(gamma.Tables(FRAMEWORK).value(table, ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, function(x.astype("float64")), 4e-6, 4e-7)


def test_reciprocals_and_roots_reach_over_all_magnitudes() -> None:
    x = np.geomspace(1e-30, 1e30, 4001).astype("float32")
    looking = gamma.Tables(FRAMEWORK)
    inverse = numbers(gamma.reciprocal(looking, ops.convert_to_tensor(x)))
    np.testing.assert_allclose(inverse * x.astype("float64"), 1, 5e-7)
    np.testing.assert_allclose(numbers(gamma.root(looking, ops.convert_to_tensor(x))) ** 2 * x, 1, 1e-6)
