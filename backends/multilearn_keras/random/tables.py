"""Functions of positive float32 numbers from tables: the same bits on every framework, where `log` and `sqrt` are not.

A table has 128 cells between every power of two and the next. A number's cell is the upper half of its own bits; inside
it the function is a parabola through three exact values. What is left is one multiplication or addition after the
other, and IEEE 754 says what each of those rounds to, unless a compiler makes one operation of two: see `sealed`.
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

__all__ = ["BITS", "FunctionTable", "Tables", "reciprocal", "root"]

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
        return sealed(self._ops, (sealed(self._ops, bend * within) + slope) * within) + value

    def scaled(self, table: FunctionTable, x: Any, powers: np.ndarray) -> Any:
        """The function of the significand of x, which is in [1, 2), times that one of 255 powers x's exponent names."""
        bits = self._bits(x)
        significand = self._float((bits & 0x7FFFFF) | 0x3F800000)
        exponent = self._ops.clip(self._ops.right_shift(bits, 23), 0, 254)
        return self.value(table, significand) * self._gathered(powers, exponent)

    def sealed(self, product: Any) -> Any:
        return sealed(self._ops, product)

    def _gathered(self, values: np.ndarray, index: Any) -> Any:
        return self._ops.take(self._backend.convert_to_tensor(values), index)


def sealed(ops: Any, product: Any) -> Any:
    """A product to which something will be added: the compiler must not make one rounding of the two.

    Nothing here comes near the bound, but no compiler can know.
    """
    return ops.minimum(product, _LARGE)


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
