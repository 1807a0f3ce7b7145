"""Gamma and beta numbers: Marsaglia and Tsang's method, with the same decisions on every framework.

"A simple method for generating gamma variables" (ACM Transactions on Mathematical Software 26, 2000): for a >= 1,
d = a - 1/3 and c = 1 / (3 sqrt(d)), propose w = 1 + c x with a normal x, and accept w**3 d with probability

    exp(-q),    q = 3 d (cx - (cx)**2 / 2 + (cx)**3 / 3 - log w) = (c x x)**2 R(w)

For a < 1 it is the number for a + 1, times a uniform one to the power 1 / a. What is accepted depends on one table
(`tables`), one product and one comparison, so it is the same everywhere. Eight proposals are made for each number, and
the first that passes is taken; that none passes has a probability below 4e-11 (a = 1; less for any other), and the mode
is taken then.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from multilearn_keras.random.source import DrawSource

__all__ = ["BITS", "FunctionTable", "Tables", "beta", "gamma", "reciprocal", "root"]

BITS = 31
"""Bits of the uniform numbers that `NORMAL` and `WAITING` take."""

_CELLS = 128
_ONE = 127 * _CELLS  # the cell of 1.0
_LARGE = 2.0**100


@dataclass(frozen=True, eq=False)
class FunctionTable:
    """`function`, of float64 arrays, on [2**lowest, 2**highest): beyond it stands still, to within a cell."""

    function: Callable[[np.ndarray], np.ndarray]
    lowest: int
    highest: int

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """Per cell the coefficients of 1, r and r**2, r from 0 to 1: (3, cells) float32."""
        ends = 2.0 ** np.arange(self.lowest, self.highest + 1)
        starts = (ends[:-1, None] * (1 + np.arange(_CELLS) / _CELLS)).ravel()
        width = np.repeat(ends[:-1] / _CELLS, _CELLS)
        first, middle, last = (self.function(starts + width * part) for part in (0.0, 0.5, 1.0))
        rows = [first, 4 * middle - 3 * first - last, 2 * (first + last - 2 * middle)]
        return np.stack(rows).astype(np.float32)


class Tables:
    """Looking up, with the functions of a backend module of Keras."""

    def __init__(self, backend: Any) -> None:
        self._backend, self._ops = backend, backend.numpy
        self._bits, self._float = _bitcasts(backend.__name__.rpartition(".")[2])

    def value(self, table: FunctionTable, x: Any) -> Any:
        """The function of a positive float32 tensor of any shape."""
        bits = self._bits(x)
        index = (self._ops.right_shift(bits, 16)) - (_ONE + table.lowest * _CELLS)
        index = self._ops.clip(index, 0, table.rows.shape[1] - 1)
        within = self._backend.cast(bits & 0xFFFF, "float32") * 2.0**-16
        value, slope, bend = (self._gathered(row, index) for row in table.rows)
        return self.sealed((self.sealed(bend * within) + slope) * within) + value

    def scaled(self, table: FunctionTable, x: Any, powers: np.ndarray) -> Any:
        """The function of the significand of x, which is in [1, 2), times that one of 255 powers x's exponent names."""
        bits = self._bits(x)
        significand = self._float((bits & 0x7FFFFF) | 0x3F800000)
        exponent = self._ops.clip(self._ops.right_shift(bits, 23), 0, 254)
        return self.value(table, significand) * self._gathered(powers, exponent)

    def sealed(self, product: Any) -> Any:
        """A product to which something will be added: the compiler must not make one rounding of the two.

        Nothing here comes near the bound, but no compiler can know.
        """
        return self._ops.minimum(product, _LARGE)

    def _gathered(self, values: np.ndarray, index: Any) -> Any:
        return self._ops.take(self._backend.convert_to_tensor(values), index)


def reciprocal(tables: Tables, x: Any) -> Any:
    """1 / x."""
    return tables.scaled(_RECIPROCAL, x, _halvings(1.0))


def root(tables: Tables, x: Any) -> Any:
    """1 / sqrt(x)."""
    return tables.scaled(_ROOT, x, _halvings(0.5))


@functools.cache
def _halvings(power: float) -> np.ndarray:
    exponents = np.clip(np.arange(255) - 127.0, -125, 125)
    return (2.0 ** (-power * exponents)).astype(np.float32)


def _bitcasts(framework: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """float32 to int32 and back, the bits as they are."""
    module = importlib.import_module({"jax": "jax.lax"}.get(framework, framework))
    if framework == "torch":
        return lambda x: x.view(module.int32), lambda x: x.view(module.float32)
    cast = module.bitcast if framework == "tensorflow" else module.bitcast_convert_type
    return lambda x: cast(x, "int32"), lambda x: cast(x, "float32")


def _normal(x: np.ndarray) -> np.ndarray:
    quantile = NormalDist().inv_cdf
    return np.array([-quantile(min(value * 2.0**-32, 0.5)) for value in x.tolist()])


NORMAL = FunctionTable(_normal, 0, BITS + 1)
"""The size of a normal number, of a uniform one of 31 bits (1 to 2**31, which is 0): the sign is to be drawn."""

WAITING = FunctionTable(lambda x: np.maximum(BITS * math.log(2) - np.log(x), 0.0), 0, BITS + 1)
"""An exponential number, of a uniform one of 31 bits (1 to 2**31)."""

_RECIPROCAL = FunctionTable(lambda x: 1 / x, 0, 1)
_ROOT = FunctionTable(lambda x: 1 / np.sqrt(x), 0, 1)


_PROPOSALS = 8
_LEAST = 2.0**-126  # what is smaller, some frameworks take for 0
_LONG = 87.0  # exp(-87) is not yet that small
_FAR = 1e30


def _refusal(w: np.ndarray) -> np.ndarray:
    y = w - 1
    near = np.abs(y) < 0.03
    far = np.where(near, 0.5, y)
    exact = 3 * (far - far**2 / 2 + far**3 / 3 - np.log1p(far)) / far**4
    series = sum(3 * (-y) ** k / (k + 4) for k in range(8))
    return np.where(near, series, exact)


_REFUSAL = FunctionTable(lambda w: _refusal(w) / 9, -24, 3)
"""R(w) / 9."""


def gamma(source: DrawSource, shape: tuple[Any, ...], key: Any, alpha: Any, dtype: str) -> Any:
    """Gamma numbers of shape parameter alpha (0 < alpha, else NaN), float32 or float64."""
    ops = source.backend.numpy
    size, waiting = _parts(source, shape, key, alpha, dtype, lane=0)
    drawn = size * ops.exp(-ops.minimum(waiting, _LONG))
    drawn = ops.where(ops.logical_or(waiting > _LONG, drawn < _LEAST), 0.0 * size, drawn)
    return _where(source, alpha > 0, drawn)


def beta(source: DrawSource, shape: tuple[Any, ...], key: Any, alpha: Any, beta: Any, dtype: str) -> Any:
    """Beta numbers (0 < alpha, beta, else NaN), float32 or float64: the share of one gamma number in the sum of two."""
    ops = source.backend.numpy
    one, one_waiting = _parts(source, shape, key, alpha, dtype, lane=0)
    other, other_waiting = _parts(source, shape, key, beta, dtype, lane=1)
    further = ops.clip(one_waiting - other_waiting, -_LONG, _LONG)
    drawn = one / (one + other * ops.exp(further))
    drawn = ops.where(drawn < _LEAST, 0.0 * one, drawn)
    return _where(source, ops.logical_and(alpha > 0, beta > 0), drawn)


def _parts(
    source: DrawSource, shape: tuple[Any, ...], key: Any, alpha: Any, dtype: str, *, lane: int
) -> tuple[Any, Any]:
    """(size, waiting) of gamma numbers size * exp(-waiting)."""
    backend, ops, tables = source.backend, source.backend.numpy, Tables(source.backend)
    low = ops.clip(backend.cast(alpha, "float32"), 1.0 / _FAR, _FAR)
    below_one = low < 1.0
    d = ops.where(below_one, low + 2 / 3, low - 1 / 3)
    c = root(tables, 9.0 * d)
    bits = source.bits((2 * _PROPOSALS + 1, *shape), key, lane)
    uniform = backend.cast(ops.maximum(bits & (2**BITS - 1), 1), "float32")

    x = tables.value(NORMAL, uniform[:_PROPOSALS])
    x = ops.where(bits[:_PROPOSALS] < 0, -x, x)
    w = tables.sealed(c * x) + 1.0
    bend = c * x * x
    passes = tables.value(WAITING, uniform[_PROPOSALS:-1]) > bend * bend * tables.value(_REFUSAL, w)
    passes = ops.logical_and(passes, w > 0)
    first = 0.0 * x[0]
    for k in reversed(range(_PROPOSALS)):
        first = ops.where(passes[k], x[k], first)

    waiting = tables.value(WAITING, uniform[-1])
    if dtype == "float64":
        first, waiting = _widened(source, first, shape, key, lane + 2), backend.cast(waiting, "float64")
        low = ops.clip(backend.cast(alpha, "float64"), 1.0 / _FAR, _FAR)
        d = ops.where(below_one, low + 2 / 3, low - 1 / 3)
        w = first / ops.sqrt(9.0 * d) + 1.0
        rate = 1.0 / low
    else:
        w = tables.sealed(c * first) + 1.0
        rate = reciprocal(tables, low)
    waiting = ops.where(below_one, ops.minimum(waiting * rate, _FAR), 0.0 * waiting)
    return d * w * w * w, waiting


def _widened(source: DrawSource, x: Any, shape: tuple[Any, ...], key: Any, lane: int) -> Any:
    """The float32 x with 24 digits more, which decide nothing."""
    more = source.backend.cast(source.unit(shape, key, lane, "float32"), "float64")
    return source.backend.cast(x, "float64") * (1.0 + (more - 0.5) * 2.0**-23)


def _where(source: DrawSource, legal: Any, drawn: Any) -> Any:
    return source.backend.numpy.where(legal, drawn, 0.0 * drawn + float("nan"))
