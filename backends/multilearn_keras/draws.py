"""What Keras draws, from the portable generator: the functions of its backend random modules, once for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeGuard

import keras
import numpy as np

from multilearn.errors import ConfigurationError
from multilearn_keras import initial
from multilearn_keras.bits import WORD, Key, host_bits, key_of, shift_right, signed, traced_bits

__all__ = ["Draws", "advance"]


class Draws:
    """The draws over one backend module of Keras, with the signatures that the module's own have.

    An integer seed is drawn from on the host; any other seed (a `SeedGenerator`, a (2,) tensor, None for the generator
    that `unseeded` returns) is a tensor throughout, never a Python number. Random bits, and with them integers and
    dropout masks, are the same on every framework; so are floats that the host computed, while traced ones may differ
    in the last digit.
    """

    def __init__(self, backend: Any, unseeded: Callable[[], keras.random.SeedGenerator]) -> None:
        self._backend, self._unseeded = backend, unseeded

    def uniform(
        self, shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: str | None = None, seed: Any = None
    ) -> Any:
        """Uniform in [minval, maxval)."""
        shape, key, dtype = self._shape(shape), self._key(seed), _dtype(dtype)
        static = _is_number(minval) and _is_number(maxval)
        if static and _on_host(key, shape):
            drawn = self._tensor(initial.uniform(shape, minval, maxval, key, _working(dtype)))
        else:
            drawn = self._scaled(self._unit(shape, key, 0, dtype), maxval - minval, minval)
        drawn = self._backend.cast(drawn, dtype)
        # From 0 in float32, rounding cannot reach the upper bound.
        if static and minval < maxval and (minval != 0 or dtype != "float32"):
            bound = np.array(initial.below(maxval, minval, dtype), _working(dtype))
            bound = self._backend.cast(self._tensor(bound), dtype)
            drawn = self._backend.numpy.where(drawn < bound, drawn, bound)
        return drawn

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Any = None) -> Any:
        """Normal, by Box and Muller's transform."""
        shape, key, dtype = self._shape(shape), self._key(seed), _dtype(dtype)
        if _is_number(mean) and _is_number(stddev) and _on_host(key, shape):
            drawn = self._tensor(initial.normal(shape, mean, stddev, key, _working(dtype)))
        else:
            ops = self._backend.numpy
            radius = ops.sqrt(-2.0 * ops.log1p(-self._unit(shape, key, 0, dtype)))
            angle = (2 * math.pi) * self._unit(shape, key, 1, dtype)
            drawn = self._scaled(radius * ops.cos(angle), stddev, mean)
        return self._backend.cast(drawn, dtype)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Any = None
    ) -> Any:
        """Normal, given that it lies within two standard deviations of the mean: the quantile of a uniform number."""
        shape, key, dtype = self._shape(shape), self._key(seed), _dtype(dtype)
        if _is_number(mean) and _is_number(stddev) and _on_host(key, shape):
            drawn = self._tensor(initial.truncated_normal(shape, mean, stddev, key, _working(dtype)))
        else:
            # The middle of the interval that a number of n bits stands for: (2u - 1) + 2**-n, without rounding.
            middle = (self._unit(shape, key, 0, dtype) - 0.5) + (2.0**-54 if _working(dtype) == "float64" else 2.0**-25)
            within = self._backend.math.erfinv(middle * (2 * initial.CENTRE)) * math.sqrt(2)
            drawn = self._scaled(self._backend.numpy.clip(within, -2.0, 2.0), stddev, mean)
        return self._backend.cast(drawn, dtype)

    def randint(self, shape: Any, minval: Any, maxval: Any, dtype: str = "int32", seed: Any = None) -> Any:
        """Integers in [minval, maxval), which must lie in 32 bits: each as likely as the next to within 2**-32."""
        shape, key, dtype = self._shape(shape), self._key(seed), keras.backend.standardize_dtype(dtype)
        if _is_number(minval) and _is_number(maxval):
            minval, maxval = int(minval), int(maxval)
            _check_range(minval, maxval)
            span, lowest = maxval - minval, signed(minval)
        else:
            lowest = self._backend.cast(minval, "int32")
            span = self._backend.cast(maxval, "int32") - lowest
        first = self._bits(shape, key, 0)
        offset = first if isinstance(span, int) and span == WORD else self._share(first, span, shape, key)
        return self._backend.cast(offset + lowest, dtype)

    def dropout(
        self, inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
    ) -> Any:
        """`inputs` with a share `rate` of its elements set to 0 and the others divided by 1 - rate, dtype kept."""
        inputs = self._backend.convert_to_tensor(inputs)
        if rate == 0.0:
            return inputs
        ops, nothing = self._backend.numpy, self._backend.numpy.zeros_like(inputs)
        if rate == 1.0:
            return nothing
        keep = 1.0 - rate
        shape = self._backend.shape(inputs)
        if noise_shape is not None:
            shape = [shape[axis] if size is None else size for axis, size in enumerate(noise_shape)]
        limit = min(round(keep * WORD), WORD - 1) - WORD // 2  # the bits are signed
        kept = self._bits(self._shape(shape), self._key(seed), 0) < limit
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype in ("float16", "bfloat16"):  # 1 / keep has too few digits there, and not the same ones everywhere
            scaled = self._backend.cast(self._backend.cast(inputs, "float32") * (1.0 / keep), dtype)
        else:
            scaled = inputs * (1.0 / keep)
        return ops.where(kept, scaled, nothing)

    def shuffle(self, x: Any, axis: int = 0, seed: Any = None) -> Any:
        """`x` with its slices along `axis` in another order."""
        x = self._backend.convert_to_tensor(x)
        order = self._bits(self._shape([self._backend.shape(x)[axis]]), self._key(seed), 0)
        return self._backend.numpy.take(x, self._backend.numpy.argsort(order), axis=axis)

    def categorical(self, logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Any:
        """Class ids (batch, num_samples), distributed as softmax(logits (batch, classes)): a race of exponentials."""
        ops = self._backend.numpy
        logits = self._backend.cast(self._backend.convert_to_tensor(logits), "float32")
        batch, classes = self._backend.shape(logits)
        bits = self._bits(self._shape([batch, num_samples, classes]), self._key(seed), 0)
        share = (self._backend.cast(shift_right(self._backend, bits, 1), "float32") + 0.5) * 2.0**-31
        waiting = -ops.log1p(-share)
        winners = ops.argmax(ops.expand_dims(logits, 1) - ops.log(waiting), axis=-1)
        return self._backend.cast(winners, dtype)

    def orthogonal(self, shape: Sequence[int], gain: float, key: Key, dtype: str | None) -> Any:
        """The value of an orthogonal initialiser, computed on the host."""
        dtype = _dtype(dtype)
        return self._backend.cast(self._tensor(initial.orthogonal(shape, gain, key, _working(dtype))), dtype)

    def _key(self, seed: Any) -> Any:
        """The key on the host of an integer seed; of any other seed a (2,) int32 tensor."""
        if isinstance(seed, (int, np.integer)):
            return key_of(int(seed))
        if seed is None:
            seed = self._unseeded()
        if isinstance(seed, keras.random.SeedGenerator):
            seed = seed.next()
        return self._backend.cast(seed, "int32")

    def _shape(self, shape: Any) -> tuple[Any, ...]:
        """Integers as Python's, whatever else (tensors, symbolic dimensions) as it is."""
        if self._backend.is_tensor(shape):
            shape = [shape[axis] for axis in range(shape.shape[0])]
        return tuple(int(size) if isinstance(size, (int, np.integer)) else size for size in shape)

    def _bits(self, shape: tuple[Any, ...], key: Any, lane: int) -> Any:
        """Random bits as a signed 32-bit tensor."""
        if _on_host(key, shape):
            drawn = host_bits(0, math.prod(shape), key, lane=lane)
            return self._tensor(drawn.view(np.int32).reshape(shape))
        if isinstance(key, tuple):
            key = self._tensor(np.array([signed(part) for part in key], np.int32))
        return traced_bits(self._backend, shape, key, lane=lane)

    def _unit(self, shape: tuple[Any, ...], key: Any, lane: int, dtype: str) -> Any:
        """Uniform in [0, 1): a float32 of 24 bits, or a float64 of 53."""
        bits, cast = self._bits(shape, key, lane), self._backend.cast
        if _working(dtype) == "float32":
            return cast(shift_right(self._backend, bits, 8), "float32") * 2.0**-24
        high = cast(shift_right(self._backend, bits, 5), "float64")
        low = cast(shift_right(self._backend, self._bits(shape, key, lane + 2), 6), "float64")
        return (high * 2.0**26 + low) * 2.0**-53

    def _share(self, first: Any, span: Any, shape: tuple[Any, ...], key: Any) -> Any:
        """floor(span * fraction) of a fraction of 64 bits, the first 32 given: a 96-bit product in 32-bit words."""
        second = self._bits(shape, key, 1)
        if isinstance(span, int):
            high, low = span >> 16, span & 0xFFFF
        else:
            high, low = shift_right(self._backend, span, 16), span & 0xFFFF
        top, middle = self._product(first, high, low)
        carried = self._product(second, high, low)[0]
        total = middle + carried
        overflow = (total ^ signed(WORD // 2)) < (middle ^ signed(WORD // 2))  # unsigned: total < middle
        return top + self._backend.cast(overflow, "int32")

    def _product(self, x: Any, high: Any, low: Any) -> tuple[Any, Any]:
        """The upper and the lower word of x * (high * 2**16 + low), all unsigned: long multiplication by halves."""
        upper, lower = shift_right(self._backend, x, 16), x & 0xFFFF
        last = lower * low
        inner = upper * low + shift_right(self._backend, last, 16)
        outer = lower * high + (inner & 0xFFFF)
        top = upper * high + shift_right(self._backend, inner, 16) + shift_right(self._backend, outer, 16)
        return top, outer * 65536 + (last & 0xFFFF)

    def _scaled(self, drawn: Any, scale: Any, offset: Any) -> Any:
        return drawn * self._like(drawn, scale) + self._like(drawn, offset)

    def _like(self, drawn: Any, value: Any) -> Any:
        return float(value) if _is_number(value) else self._backend.cast(value, drawn.dtype)

    def _tensor(self, array: np.ndarray) -> Any:
        return self._backend.convert_to_tensor(array)


def advance(generator: keras.random.SeedGenerator, ordered: bool = True) -> Any:
    """`SeedGenerator.next`: the state before this draw; the state moves on to the next draw.

    Always in order: what Keras does for its unseeded stream, `ordered=False`, overflows differently on each framework.
    The step is made on the device, where Keras copies it there for every draw.
    """
    ops = generator.backend.numpy
    state = generator.state.value * 1
    generator.state.assign(state + ops.arange(2, dtype=keras.backend.standardize_dtype(generator.state.dtype)))
    return state


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real)


def _on_host(key: Any, shape: tuple[Any, ...]) -> bool:
    return isinstance(key, tuple) and all(isinstance(size, int) for size in shape)


def _dtype(dtype: str | None) -> str:
    return str(keras.backend.standardize_dtype(dtype or keras.config.floatx()))


def _working(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"


def _check_range(minval: int, maxval: int) -> None:
    if not -WORD // 2 <= minval < maxval <= WORD // 2:
        raise ConfigurationError(
            "randint needs minval < maxval, both from -2**31 to 2**31.",
            received=f"minval={minval}, maxval={maxval}",
            remedy="Draw within these bounds, then shift or scale.",
        )
