"""Random arrays made on the host, in numpy: initial weights, so that they are the same bits on every framework.

Every function takes the key of the stream (see `bits`), computes in float64, and rounds once, to `dtype`: float32
or float64. The underlying numbers have 24 bits for float32 and 53 bits for float64, as the traced draws have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import ml_dtypes
import numpy as np

from multilearn_keras.random.bits import Key, host_bits

__all__ = ["CENTRE", "below", "normal", "normal_quantile", "orthogonal", "truncated_normal", "uniform"]

CENTRE = math.erf(math.sqrt(2))
"""The share of a normal distribution that lies within two standard deviations."""

_BLOCK = 2**15  # elements at a time: what is in flight stays in the processor's cache


def uniform(shape: Sequence[int], low: float, high: float, key: Key, dtype: str) -> np.ndarray:
    """Uniform in [low, high)."""
    scale = high - low
    drawn = _filled(shape, dtype, lambda start, count: _unit(start, count, key, 0, dtype) * scale + low)
    return np.minimum(drawn, below(high, low, dtype), out=drawn) if low < high else drawn


def normal(shape: Sequence[int], mean: float, stddev: float, key: Key, dtype: str) -> np.ndarray:
    """Normal, by the cosine half of Box and Muller's transform of two uniform numbers."""

    def draw(start: int, count: int) -> np.ndarray:
        radius = np.sqrt(-2 * np.log1p(-_unit(start, count, key, 0, dtype)))
        return radius * np.cos(2 * math.pi * _unit(start, count, key, 1, dtype)) * stddev + mean

    return _filled(shape, dtype, draw)


def truncated_normal(shape: Sequence[int], mean: float, stddev: float, key: Key, dtype: str) -> np.ndarray:
    """Normal, given that it lies within two standard deviations: the quantile of a uniform number."""
    half = 2.0**-54 if dtype == "float64" else 2.0**-25

    def draw(start: int, count: int) -> np.ndarray:
        middle = _unit(start, count, key, 0, dtype) + half
        return normal_quantile(CENTRE * (middle - 0.5)) * stddev + mean

    return _filled(shape, dtype, draw)


def orthogonal(shape: Sequence[int], gain: float, key: Key, dtype: str) -> np.ndarray:
    """Orthonormal rows or columns, times `gain`, uniform among all such (Saxe et al., https://arxiv.org/abs/1312.6120).

    The last dimension is one side of the matrix, the product of the others the other side.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(normal(tall, 0.0, 1.0, key, dtype).astype(np.float64))
    q *= np.where(np.diagonal(r) < 0, -gain, gain)
    return (q if rows >= columns else q.T).reshape(shape).astype(dtype)


def below(high: float, low: float, dtype: str) -> float:
    """The largest number of `dtype` under `high`, coming from `low`: rounding must not reach an excluded bound."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype).type
    return float(np.nextafter(kind(high), kind(low)))


def normal_quantile(q: np.ndarray) -> np.ndarray:
    """The value below which a normal variable falls with probability 0.5 + q, for |q| < 0.4777.

    Wichura's algorithm AS241 (Applied Statistics 37, 1988), without its far tails: accurate to 16 digits.
    """
    central = np.abs(q) <= 0.425
    value = q * _ratio(0.180625 - q * q, _CENTRAL)
    tail = ~central
    if tail.any():
        outer = q[tail]
        r = np.sqrt(-np.log(0.5 - np.abs(outer)))
        value[tail] = np.copysign(_ratio(r - 1.6, _OUTER), outer)
    return value


def _ratio(r: np.ndarray, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> np.ndarray:
    above, below = coefficients
    return np.polyval(above, r) / np.polyval(below, r)


def _unit(start: int, count: int, key: Key, lane: int, dtype: str) -> np.ndarray:
    """Uniform in [0, 1), as float64: a multiple of 2**-24, or of 2**-53 for float64, from two lanes then."""
    if dtype != "float64":
        return (host_bits(start, count, key, lane=lane) >> np.uint32(8)) * 2.0**-24
    high = host_bits(start, count, key, lane=lane) >> np.uint32(5)
    low = host_bits(start, count, key, lane=lane + 2) >> np.uint32(6)
    return (high * 2.0**26 + low) * 2.0**-53


def _filled(shape: Sequence[int], dtype: str, draw: Callable[[int, int], np.ndarray]) -> np.ndarray:
    flat = np.empty(math.prod(shape), dtype)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        block[:] = draw(start, block.size)
    return flat.reshape(tuple(shape))


_CENTRAL = (
    (
        *(2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4),
        *(1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    ),
    (
        *(5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4),
        *(5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
    ),
)
_OUTER = (
    (
        *(7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0),
        *(3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    ),
    (
        *(1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1),
        *(6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
    ),
)
