"""Binomial numbers, the same on every framework: by inversion where few successes are expected, else by rejection.

With p at most 1/2 (above, failures are counted) and M = n p, where M < 10 the probabilities of 0, 1, 2, ... successes
are added up, in units of 2**-30, until they pass a uniform number. Elsewhere it is transformed rejection after Hörmann
("The generation of binomial random variates", Journal of Statistical Computation and Simulation 46, 1993): of a uniform
u from -1/2 to 1/2, s = 1/2 - abs(u) and V = n p (1 - p), propose

    k = floor(M + 1/2 + b u (2 A / s + 1)),    b = 2.7 sqrt(V) + 1/2,    A = 0.02

and accept it with probability f(k) sqrt(2 pi V) (A / s**2 + 1) exp(-0.155), at least 0.73 on the average. The
probability f(k) is written with deviances, as Loader does ("Fast and accurate computation of binomial probabilities",
2000), so that nothing large is subtracted. Sixteen proposals are made for each number, and the first that passes is
taken; that none passes has a probability below 1e-9, and the most probable number is taken then.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from multilearn_keras.random.bits import shift_right
from multilearn_keras.random.source import Source
from multilearn_keras.random.tables import BITS, WAITING, Table, Tables, reciprocal, root

__all__ = ["LARGEST", "binomial"]

LARGEST = 2**24
"""Above it, not every number of trials is a float32."""

_FEW = 10.0
_STEPS = 36  # beyond so many successes, no probability at M < 10 is 2**-30
_UNITS = 30
_PROPOSALS = 16
_A, _WIDTH, _MORE, _MARGIN = 0.02, 2.7, 0.5, 0.155


def _log_gamma_rest(x: np.ndarray) -> np.ndarray:
    exact = [math.lgamma(value + 1) - value * math.log(value) + value if value < 1e3 else 0.0 for value in x.tolist()]
    large = 0.5 * np.log(2 * math.pi * x) + 1 / (12 * x) - 1 / (360 * x**3)
    return np.where(x < 1e3, exact, large)


def _deviance(z: np.ndarray) -> np.ndarray:
    y = z - 1
    near = np.abs(y) < 0.03
    far = np.where(near, 0.5, y)
    exact = ((1 + far) * np.log1p(far) - far) / far**2
    series = sum((-y) ** k / ((k + 1) * (k + 2)) for k in range(9))
    return np.where(near, series, exact)


_NONE = Table(lambda t: np.exp(-t), -32, 4)
_SOME = Table(lambda t: -np.expm1(-t), -32, 4)
_STRETCH = Table(lambda q: -np.log1p(-np.minimum(q, 0.999)) / q, -24, 0)
_LOG = Table(np.log, 0, 25)
_REST = Table(_log_gamma_rest, -1, 25)  # log n! - n log n + n
_DEVIANCE = Table(_deviance, -20, 4)  # (z log z + 1 - z) / (z - 1)**2
_STEEP = Table(lambda s: np.log(_A / s**2 + 1), -25, 0)


def binomial(source: Source, shape: tuple[Any, ...], key: Any, counts: Any, probabilities: Any) -> Any:
    """Successes among `counts` trials of probability `probabilities`: whole float32 numbers.

    NaN where the count is not from 0 to `LARGEST`, or the probability not from 0 to 1.
    """
    ops, tables = source.backend.numpy, Tables(source.backend)
    legal = (counts >= 0) & (counts <= LARGEST) & (probabilities >= 0) & (probabilities <= 1)
    counts = ops.floor(ops.clip(counts, 0.0, float(LARGEST)))
    mirrored = probabilities > 0.5
    p = ops.clip(ops.where(mirrored, 1.0 - probabilities, probabilities), 0.0, 0.5)
    mean = tables.sealed(counts * p)
    bits = source.bits((2 * _PROPOSALS, *shape), key, 0)
    few = _inverted(source, tables, shift_right(source.backend, bits[0], 32 - _UNITS), counts, p, mean)
    drawn = ops.where(mean < _FEW, few, _accepted(source, tables, bits, counts, p, ops.maximum(mean, _FEW)))
    drawn = ops.where(mirrored, counts - drawn, drawn)
    return ops.where(legal, drawn, 0.0 * drawn + float("nan"))


def _inverted(source: Source, tables: Tables, uniform: Any, counts: Any, p: Any, mean: Any) -> Any:
    ops, cast = source.backend.numpy, source.backend.cast
    exponent = ops.minimum(mean, _FEW) * tables.value(_STRETCH, p)
    probability, some = tables.value(_NONE, exponent), tables.value(_SOME, exponent)
    reached = ops.where(
        some < 0.5, 2**_UNITS - cast(some * 2.0**_UNITS, "int32"), cast(probability * 2.0**_UNITS, "int32")
    )
    odds = p * reciprocal(tables, 1.0 - p)
    k = np.arange(_STEPS, dtype=np.float32).reshape((_STEPS,) + (1,) * len(uniform.shape))
    steps = ops.maximum(counts - source.tensor(k), 0.0) * odds * source.tensor(1 / (k + 1))
    probabilities = []
    for number in range(_STEPS):
        probability = ops.minimum(probability * steps[number], 1.0)
        probabilities.append(probability)
    units = cast(ops.stack(probabilities) * 2.0**_UNITS, "int32")
    reached = reached + ops.cumsum(units, axis=0) - units
    return ops.sum(cast(ops.logical_and(uniform >= reached, units > 0), "float32"), axis=0)


def _accepted(source: Source, tables: Tables, bits: Any, counts: Any, p: Any, mean: Any) -> Any:
    ops, cast = source.backend.numpy, source.backend.cast
    variance = mean * (1.0 - p)
    width = tables.sealed(_WIDTH * variance * root(tables, variance)) + _MORE
    distance = (cast(shift_right(source.backend, bits[:_PROPOSALS], 8), "float32") + 1.0) * 2.0**-25
    reach = (0.5 - distance) * (distance + 2 * _A) * reciprocal(tables, distance) * width
    reach = ops.minimum(reach, 2.0**26)
    reach = ops.where((bits[:_PROPOSALS] & 1) == 0, reach, -reach)
    k = ops.floor(reach + (mean + 0.5))
    inside = (k >= 0) & (k <= counts)
    k = ops.clip(k, 0.0, counts)

    others, other_mean = counts - k, counts - mean
    square = (k - mean) * (k - mean)
    one = square * _deviance_of(tables, k, mean)
    other = square * _deviance_of(tables, others, other_mean)
    whole = tables.value(_REST, ops.maximum(counts, 1.0)) + 0.5 * math.log(2 * math.pi) - _MARGIN
    whole = whole + tables.sealed(0.5 * tables.value(_LOG, variance))
    level = tables.value(_STEEP, distance) + whole - _rest(tables, ops, k) - _rest(tables, ops, others)
    level = level - tables.sealed(one) - tables.sealed(other)
    uniform = cast(ops.maximum(bits[_PROPOSALS:] & (2**BITS - 1), 1), "float32")
    passes = inside & (-tables.value(WAITING, uniform) <= level)
    first = ops.floor(mean + 0.5) + 0.0 * k[0]
    for proposal in reversed(range(_PROPOSALS)):
        first = ops.where(passes[proposal], k[proposal], first)
    return first


def _deviance_of(tables: Tables, k: Any, mean: Any) -> Any:
    """The deviance of k successes where `mean` are expected, divided by the square of the difference."""
    rate = reciprocal(tables, mean)
    return rate * tables.value(_DEVIANCE, k * rate)


def _rest(tables: Tables, ops: Any, k: Any) -> Any:
    return ops.where(k > 0.5, tables.value(_REST, k), 0.0)
