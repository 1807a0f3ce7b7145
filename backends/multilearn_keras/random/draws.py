"""What Keras draws, from the portable generator: the functions of its backend random modules, once for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import in_stateless_scope
from multilearn_keras.random import gamma
from multilearn_keras.random import initializers as initial
from multilearn_keras.random.bits import WORD, Key, below, host_halves, shift_right, signed, traced_halves
from multilearn_keras.random.pipelines import follow, mirror_of
from multilearn_keras.random.source import DrawSource, dtype_of, is_number, on_host, working

__all__ = ["Draws", "advance"]

_COARSE = 2.0**-5  # 16 bits of a probability are within 0.025 % of it and of its complement


class Draws(DrawSource):
    """The draws over one backend module of Keras, with the signatures that the module's own have.

    An integer seed is drawn from on the host; any other seed (a `SeedGenerator`, a (2,) tensor, None for the generator
    that `unseeded` returns) is a tensor throughout, never a Python number. Random bits, and with them integers and
    dropout masks, are the same on every framework; so are floats that the host computed, while traced ones may differ
    in the last digit.
    """

    def uniform(
        self, shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: str | None = None, seed: Any = None
    ) -> Any:
        """Uniform in [minval, maxval)."""
        shape, key, dtype = self.shape(shape), self.key(seed), dtype_of(dtype)
        static = is_number(minval) and is_number(maxval)
        if static and on_host(key, shape):
            drawn = self.tensor(initial.uniform(shape, minval, maxval, key, working(dtype)))
        else:
            drawn = self._scaled(self.unit(shape, key, 0, dtype), maxval - minval, minval)
        drawn = self.backend.cast(drawn, dtype)
        # From 0 in float32, rounding cannot reach the upper bound.
        if static and minval < maxval and (minval != 0 or dtype != "float32"):
            bound = np.array(initial.below(maxval, minval, dtype), working(dtype))
            bound = self.backend.cast(self.tensor(bound), dtype)
            drawn = self.backend.numpy.where(drawn < bound, drawn, bound)
        return drawn

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Any = None) -> Any:
        """Normal, by Box and Muller's transform."""
        shape, key, dtype = self.shape(shape), self.key(seed), dtype_of(dtype)
        if is_number(mean) and is_number(stddev) and on_host(key, shape):
            drawn = self.tensor(initial.normal(shape, mean, stddev, key, working(dtype)))
        else:
            ops = self.backend.numpy
            radius = ops.sqrt(-2.0 * ops.log1p(-self.unit(shape, key, 0, dtype)))
            angle = (2 * math.pi) * self.unit(shape, key, 1, dtype)
            drawn = self._scaled(radius * ops.cos(angle), stddev, mean)
        return self.backend.cast(drawn, dtype)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: str | None = None, seed: Any = None
    ) -> Any:
        """Normal, given that it lies within two standard deviations of the mean: the quantile of a uniform number."""
        shape, key, dtype = self.shape(shape), self.key(seed), dtype_of(dtype)
        if is_number(mean) and is_number(stddev) and on_host(key, shape):
            drawn = self.tensor(initial.truncated_normal(shape, mean, stddev, key, working(dtype)))
        else:
            # The middle of the interval that a number of n bits stands for: (2u - 1) + 2**-n, without rounding.
            middle = (self.unit(shape, key, 0, dtype) - 0.5) + (2.0**-54 if working(dtype) == "float64" else 2.0**-25)
            within = self.backend.math.erfinv(middle * (2 * initial.CENTRE)) * math.sqrt(2)
            drawn = self._scaled(self.backend.numpy.clip(within, -2.0, 2.0), stddev, mean)
        return self.backend.cast(drawn, dtype)

    def randint(self, shape: Any, minval: Any, maxval: Any, dtype: str = "int32", seed: Any = None) -> Any:
        """Integers in [minval, maxval), which must lie in 32 bits: each as likely as the next to within 2**-32."""
        shape, key, dtype = self.shape(shape), self.key(seed), keras.backend.standardize_dtype(dtype)
        if is_number(minval) and is_number(maxval):
            minval, maxval = int(minval), int(maxval)
            _check_range(minval, maxval)
            span, lowest = maxval - minval, signed(minval)
        else:
            lowest = self.backend.cast(minval, "int32")
            span = self.backend.cast(maxval, "int32") - lowest
        first = self.bits(shape, key, 0)
        offset = first if isinstance(span, int) and span == WORD else self._share(first, span, shape, key)
        return self.backend.cast(offset + lowest, dtype)

    def dropout(
        self, inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
    ) -> Any:
        """`inputs` with a share `rate` of its elements times 0 and the others divided by 1 - rate, dtype kept.

        The mask is multiplied, as PyTorch does it: choosing element by element costs a processor more than drawing.
        """
        inputs = self.backend.convert_to_tensor(inputs)
        if rate == 0.0:
            return inputs
        if rate == 1.0:
            return self.backend.numpy.zeros_like(inputs)
        keep = 1.0 - rate
        shape = self.backend.shape(inputs)
        if noise_shape is not None:
            shape = [shape[axis] if size is None else size for axis, size in enumerate(noise_shape)]
        kept = self._kept(self.shape(shape), self.key(seed), keep)
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype in ("float16", "bfloat16"):  # 1 / keep has too few digits there, and not the same ones everywhere
            scaled = self.backend.cast(inputs, "float32") * (self.backend.cast(kept, "float32") * (1.0 / keep))
            return self.backend.cast(scaled, dtype)
        return inputs * (self.backend.cast(kept, dtype) * (1.0 / keep))

    def _kept(self, shape: tuple[Any, ...], key: Any, keep: float) -> Any:
        """1 with probability `keep`, else 0: to within 2**-17, or 2**-33 near 0 and 1, where that would be much."""
        if not _COARSE <= keep <= 1 - _COARSE:
            limit = min(round(keep * WORD), WORD - 1) - WORD // 2  # the bits are signed
            return below(self.backend, self.bits(shape, key, 0), limit)
        if on_host(key, shape):
            halves = self.tensor(host_halves(math.prod(shape), key).reshape(shape))
        else:
            halves = traced_halves(self.backend, shape, self.as_tensor(key))
        return below(self.backend, halves, round(keep * 2**16) - 2**15)

    def shuffle(self, x: Any, axis: int = 0, seed: Any = None) -> Any:
        """`x` with its slices along `axis` in another order."""
        x = self.backend.convert_to_tensor(x)
        order = self.bits(self.shape([self.backend.shape(x)[axis]]), self.key(seed), 0)
        return self.backend.numpy.take(x, self.backend.numpy.argsort(order), axis=axis)

    def categorical(self, logits: Any, num_samples: int, dtype: str = "int32", seed: Any = None) -> Any:
        """Class ids (batch, num_samples), distributed as softmax(logits (batch, classes)): a race of exponentials."""
        ops = self.backend.numpy
        logits = self.backend.cast(self.backend.convert_to_tensor(logits), "float32")
        batch, classes = self.backend.shape(logits)
        bits = self.bits(self.shape([batch, num_samples, classes]), self.key(seed), 0)
        share = (self.backend.cast(shift_right(self.backend, bits, 1), "float32") + 0.5) * 2.0**-31
        waiting = -ops.log1p(-share)
        winners = ops.argmax(ops.expand_dims(logits, 1) - ops.log(waiting), axis=-1)
        return self.backend.cast(winners, dtype)

    def gamma(self, shape: Any, alpha: Any, dtype: str | None = None, seed: Any = None) -> Any:
        """Gamma numbers of rate 1: see `gamma`."""
        shape, key, dtype = self.shape(shape), self.key(seed), dtype_of(dtype)
        alpha = self._positive("gamma", "alpha", alpha, shape, dtype)
        return self.backend.cast(gamma.gamma(self, shape, key, alpha, working(dtype)), dtype)

    def beta(self, shape: Any, alpha: Any, beta: Any, dtype: str | None = None, seed: Any = None) -> Any:
        """Beta numbers: see `gamma`."""
        shape, key, dtype = self.shape(shape), self.key(seed), dtype_of(dtype)
        alpha = self._positive("beta", "alpha", alpha, shape, dtype)
        beta = self._positive("beta", "beta", beta, shape, dtype)
        return self.backend.cast(gamma.beta(self, shape, key, alpha, beta, working(dtype)), dtype)

    def _positive(self, draw: str, name: str, value: Any, shape: tuple[Any, ...], dtype: str) -> Any:
        if is_number(value) and not value > 0:
            raise ConfigurationError(
                f"keras.random.{draw} needs a positive {name}.", received=value, remedy="Pass one above 0."
            )
        value = self.backend.cast(self.backend.convert_to_tensor(value), working(dtype))
        return self.backend.numpy.broadcast_to(value, shape) if len(value.shape) else value

    def orthogonal(self, shape: Sequence[int], gain: float, key: Key, dtype: str | None) -> Any:
        """The value of an orthogonal initialiser, computed on the host."""
        dtype = dtype_of(dtype)
        return self.backend.cast(self.tensor(initial.orthogonal(shape, gain, key, working(dtype))), dtype)

    def _share(self, first: Any, span: Any, shape: tuple[Any, ...], key: Any) -> Any:
        """floor(span * fraction) of a fraction of 64 bits, the first 32 given: a 96-bit product in 32-bit words."""
        second = self.bits(shape, key, 1)
        if isinstance(span, int):
            high, low = span >> 16, span & 0xFFFF
        else:
            high, low = shift_right(self.backend, span, 16), span & 0xFFFF
        top, middle = self._product(first, high, low)
        carried = self._product(second, high, low)[0]
        total = middle + carried
        overflow = (total ^ signed(WORD // 2)) < (middle ^ signed(WORD // 2))  # unsigned: total < middle
        return top + self.backend.cast(overflow, "int32")

    def _product(self, x: Any, high: Any, low: Any) -> tuple[Any, Any]:
        """The upper and the lower word of x * (high * 2**16 + low), all unsigned: long multiplication by halves."""
        upper, lower = shift_right(self.backend, x, 16), x & 0xFFFF
        last = lower * low
        inner = upper * low + shift_right(self.backend, last, 16)
        outer = lower * high + (inner & 0xFFFF)
        top = upper * high + shift_right(self.backend, inner, 16) + shift_right(self.backend, outer, 16)
        return top, outer * 65536 + (last & 0xFFFF)

    def _scaled(self, drawn: Any, scale: Any, offset: Any) -> Any:
        scale, offset = (
            float(value) if is_number(value) else self.backend.cast(value, drawn.dtype) for value in (scale, offset)
        )
        return drawn * scale + offset


def advance(generator: keras.random.SeedGenerator, ordered: bool = True) -> Any:
    """`SeedGenerator.next`: the state before this draw; the state moves on to the next draw.

    Always in order: what Keras does for its unseeded stream, `ordered=False`, overflows differently on each framework.
    The step is made on the device, where Keras copies it there for every draw.
    """
    stateless = in_stateless_scope()
    mirror = None if stateless else mirror_of(generator)
    if mirror is None:
        return _advance(generator, stateless)
    follow(generator, mirror)
    before = _advance(generator, stateless)
    follow(mirror, generator)
    return before


def _advance(generator: keras.random.SeedGenerator, stateless: bool) -> Any:
    state = generator.state.value
    if hasattr(state, "add_") and not stateless:  # PyTorch's, in place: a quarter of the time
        before = state.clone()
        state[1].add_(1)
        return before
    before = state * 1
    dtype = keras.backend.standardize_dtype(generator.state.dtype)
    generator.state.assign(before + generator.backend.numpy.arange(2, dtype=dtype))
    return before


def _check_range(minval: int, maxval: int) -> None:
    if not -WORD // 2 <= minval < maxval <= WORD // 2:
        raise ConfigurationError(
            "randint needs minval < maxval, both from -2**31 to 2**31.",
            received=f"minval={minval}, maxval={maxval}",
            remedy="Draw within these bounds, then shift or scale.",
        )
