"""Keras' augmentation layers, where they are not the same on every framework though their draws are.

Some write into what they are given where the framework lets them, some choose in Python, once for each trace.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import INSIDE, inside, replaces
from multilearn_keras.patches.parity import own_copy
from multilearn_keras.random.draws import Draws
from multilearn_keras.random.seeds import is_chosen
from multilearn_keras.random.source import DrawSource

__all__ = ["FILLS", "install", "replace_images"]

_LAYERS = "layers.preprocessing.image_preprocessing"
_DRAWN = "multilearn_drawn"

INSIDE |= {
    "backend:image.affine_transform": "images transform interpolation fill_mode fill_value data_format",
    "backend:image.elastic_transform": "images alpha sigma interpolation fill_mode fill_value seed data_format",
    f"{_LAYERS}.aug_mix:AugMix.get_random_transformation": "self data training seed",
    f"{_LAYERS}.aug_mix:py_random.choice": "seq",
}


def install() -> None:
    """Have AugMix choose by draws of its own where the experiment is seeded."""
    mixing = inside(f"{_LAYERS}.aug_mix")
    setattr(mixing.AugMix, _DRAWN, property(_DrawnLayer))
    mixing.py_random = SimpleNamespace(choice=lambda seq: _DRAWN if is_chosen() else random.choice(seq))


@replaces(f"{_LAYERS}.random_brightness:RandomBrightness.transform_images", "self images transformation training")
def _brightened(original: Callable[..., Any], layer: Any, images: Any, *rest: Any, **more: Any) -> Any:
    return original(layer, own_copy(images), *rest, **more)


def replace_images(module: Any, draws: Draws) -> None:
    """In a backend module of Keras: the elastic distortion, and what the affine one may be asked."""

    @functools.wraps(module.image.elastic_transform)
    def elastic(images: Any, *args: Any, **kwargs: Any) -> Any:
        return elastic_transform(draws, draws.normal, images, *args, **kwargs)

    module.image.elastic_transform = elastic
    module.image.affine_transform = _affine(module.image.affine_transform, draws)


def _affine(original: Callable[..., Any], draws: Draws) -> Callable[..., Any]:
    """On PyTorch it writes into the matrix; TensorFlow has another idea of "wrap"."""

    @functools.wraps(original)
    def affine(
        images: Any,
        transform: Any,
        interpolation: str = "bilinear",
        fill_mode: str = "constant",
        *rest: Any,
        **more: Any,
    ) -> Any:
        if fill_mode == "wrap" and is_chosen():
            raise ConfigurationError(
                'fill_mode="wrap" of an affine transformation is not the same on every framework, so a seeded '
                "experiment cannot use it.",
                received='fill_mode="wrap"',
                remedy='Choose "reflect", "nearest" or "constant", or leave out set_seed.',
            )
        copy = draws.backend.numpy.copy(draws.backend.convert_to_tensor(transform))
        return original(images, copy, interpolation, fill_mode, *rest, **more)

    return affine


class _DrawnLayer:
    """One of the layers of an AugMix, or none, by a number that is drawn in the graph, as RandAugment does it."""

    def __init__(self, mixing: Any) -> None:
        self._ops = mixing.backend
        self._layers = {name: getattr(mixing, name) for name in mixing._augment_layers}

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any]:
        choice = self._ops.random.randint((), 0, len(self._layers) + 1, seed=seed)
        drawn = {name: layer.get_random_transformation(data, seed=seed) for name, layer in self._layers.items()}
        return {"choice": choice, "drawn": drawn}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._selected("transform_images", images, transformation)

    def transform_segmentation_masks(self, masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._selected("transform_segmentation_masks", masks, transformation)

    def _selected(self, method: str, inputs: Any, transformation: Any) -> Any:
        outputs = inputs
        for number, (name, layer) in enumerate(self._layers.items()):
            made = getattr(layer, method)(inputs, transformation["drawn"][name])
            outputs = self._ops.numpy.where(transformation["choice"] == number, made, outputs)
        return outputs


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
