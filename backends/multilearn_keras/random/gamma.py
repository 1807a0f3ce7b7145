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

from typing import Any

import numpy as np

from multilearn_keras.random.source import DrawSource
from multilearn_keras.random.tables import BITS, NORMAL, WAITING, FunctionTable, Tables, reciprocal, root

__all__ = ["beta", "gamma"]

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
