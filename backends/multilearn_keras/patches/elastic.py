"""Elastic distortion of images (Simard et al. 2003), with the same displacements on every framework.

Keras has one on each of its backends: they draw differently, need a Python number for `sigma` or take one displacement
for a batch whose size is unknown.
"""

from __future__ import annotations

from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.random.source import DrawSource

__all__ = ["FILLS", "elastic_transform"]

FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")
_SAMPLINGS = ("bilinear", "nearest")


def elastic_transform(
    source: DrawSource,
    normal: Any,
    images: Any,
    alpha: Any = 20.0,
    sigma: Any = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: Any = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """`images` (batch, height, width, channels), or one of them, with every pixel taken from elsewhere.

    Its displacements are `alpha * sigma` times normal numbers (from `normal`, a draw), smoothed by a Gaussian of
    standard deviation `sigma` in pixels; 0 lies beyond the edges.
    """
    _check(images, interpolation, fill_mode)
    ops, cast = source.backend.numpy, source.backend.cast
    images = source.backend.convert_to_tensor(images)
    dtype = keras.backend.standardize_dtype(images.dtype)
    alone, first = len(images.shape) == 3, (data_format or keras.config.image_data_format()) == "channels_first"
    pixels = ops.expand_dims(images, 0) if alone else images
    pixels = ops.transpose(pixels, (0, 2, 3, 1)) if first else pixels
    batch, height, width, _ = source.shape(source.backend.shape(pixels))
    alpha, sigma = (cast(source.backend.convert_to_tensor(value), "float32") for value in (alpha, sigma))
    sigma = ops.maximum(sigma, 1e-6)

    noise = normal((2, batch, height, width), dtype="float32", seed=seed)
    moved = ops.matmul(ops.matmul(_gaussian(ops, height, sigma), noise), _gaussian(ops, width, sigma))
    moved = moved * (alpha * sigma)
    rows = moved[0] + ops.reshape(ops.arange(height, dtype="float32"), (1, height, 1))
    columns = moved[1] + ops.reshape(ops.arange(width, dtype="float32"), (1, 1, width))
    sampled = _Sampling(source, cast(pixels, "float32"), fill_mode, fill_value).at(rows, columns, interpolation)
    sampled = ops.transpose(sampled, (0, 3, 1, 2)) if first else sampled
    return cast(sampled[0] if alone else sampled, dtype)


def _check(images: Any, interpolation: str, fill_mode: str) -> None:
    for what, value, known in (("interpolation", interpolation, _SAMPLINGS), ("fill_mode", fill_mode, FILLS)):
        if value not in known:
            raise ConfigurationError(
                f"`{what}` must be one of {', '.join(known)}.", received=repr(value), remedy="Choose one of them."
            )
    if len(images.shape) not in (3, 4):
        raise ConfigurationError(
            "An elastic distortion takes one image or a batch: 3 or 4 axes.",
            received=f"the shape {tuple(images.shape)}",
            remedy="Reshape it.",
        )


def _gaussian(ops: Any, size: int, sigma: Any) -> Any:
    """The smoothing of an axis, as a matrix (size, size)."""
    steps = ops.arange(size, dtype="float32")
    apart = ops.reshape(steps, (size, 1)) - ops.reshape(steps, (1, size))
    weights = ops.exp(-0.5 * ops.square(steps / sigma))
    return ops.exp(-0.5 * ops.square(apart / sigma)) / (2.0 * ops.sum(weights) - 1.0)


class _Sampling:
    """Images (batch, height, width, channels), to be looked at between their pixels and beyond their edges."""

    def __init__(self, source: DrawSource, pixels: Any, fill_mode: str, fill_value: Any) -> None:
        self._ops, self._cast = source.backend.numpy, source.backend.cast
        self._batch, self._height, self._width, self._channels = source.shape(source.backend.shape(pixels))
        self._flat = self._ops.reshape(pixels, (-1, self._channels))
        self._fill_mode, self._fill_value = fill_mode, fill_value

    def at(self, rows: Any, columns: Any, interpolation: str) -> Any:
        """The values at (batch, height, width) places."""
        ops = self._ops
        if interpolation == "nearest":
            return self._pixel(ops.floor(rows + 0.5), ops.floor(columns + 0.5))
        top, left = ops.floor(rows), ops.floor(columns)
        down, right = ops.expand_dims(rows - top, -1), ops.expand_dims(columns - left, -1)
        above = self._pixel(top, left) * (1.0 - right) + self._pixel(top, left + 1.0) * right
        below = self._pixel(top + 1.0, left) * (1.0 - right) + self._pixel(top + 1.0, left + 1.0) * right
        return above * (1.0 - down) + below * down

    def _pixel(self, row: Any, column: Any) -> Any:
        ops = self._ops
        row, inside_rows = self._inside(row, self._height)
        column, inside_columns = self._inside(column, self._width)
        image = ops.reshape(ops.arange(self._batch, dtype="int32"), (-1, 1, 1))
        values = ops.take(self._flat, (image * self._height + row) * self._width + column, axis=0)
        if self._fill_mode != "constant":
            return values
        return ops.where(ops.expand_dims(ops.logical_and(inside_rows, inside_columns), -1), values, self._fill_value)

    def _inside(self, place: Any, size: int) -> tuple[Any, Any]:
        """The index that stands for `place` on an axis, and whether it is the place itself."""
        ops, last = self._ops, size - 1
        place = self._cast(ops.clip(place, -(2.0**24), 2.0**24), "int32")
        if self._fill_mode == "wrap":
            index = ops.mod(place, size)
        elif self._fill_mode == "mirror":
            index = ops.absolute(ops.mod(place + last, max(2 * last, 1)) - last)
        elif self._fill_mode == "reflect":
            index = ops.mod(place, 2 * size)
            index = ops.minimum(index, 2 * size - 1 - index)
        else:
            index = place
        return ops.clip(index, 0, last), ops.logical_and(place >= 0, place <= last)
