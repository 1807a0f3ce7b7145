"""What Keras' backend for torch computes item by item, or by looking at values, as operations on whole arrays.

The results have the same bits. A loop over the images of a batch is captured image by image, which takes thousands of
operations for each batch; and a step that looks at a value cannot be captured at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from multilearn_keras.keras_internals import backend_module

__all__ = ["INSIDE", "install"]

_IS_TORCH = keras.backend.backend() == "torch"

INSIDE = (
    {
        "backend:core.scatter": "indices values shape",
        "backend:math.segment_sum": "data segment_ids num_segments sorted",
        "backend:image.map_coordinates": "inputs coordinates order fill_mode fill_value",
        "backend:image.compute_homography_matrix": "start_points end_points",
        "backend:image.perspective_transform": ("images start_points end_points interpolation fill_value data_format"),
    }
    if _IS_TORCH
    else {}
)
"""What is replaced in Keras or called, and its parameters; `affine_transform` is in `augmentation`."""

_ORDERS = {"nearest": 0, "bilinear": 1}
_FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")


def install() -> None:
    """Replace them on torch. To be called once, before what `augmentation` puts around `affine_transform`."""
    if not _IS_TORCH:
        return
    core, math, image = (backend_module(name, "torch") for name in ("core", "math", "image"))
    core.scatter = scatter
    math.segment_sum = _segment_sum(math.segment_sum)
    image.affine_transform = _affine_transform(image.affine_transform, image.map_coordinates)
    image.perspective_transform = _perspective_transform(image)


def scatter(indices: Any, values: Any, shape: Sequence[int]) -> Any:
    """Zeros of `shape` with `values` added at `indices` (..., axes): what occurs twice is added twice."""
    import torch

    indices, values = keras.ops.convert_to_tensor(indices), keras.ops.convert_to_tensor(values)
    axes = indices.shape[-1]
    places = tuple(indices.reshape(-1, axes).long().unbind(1))
    zeros = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return zeros.index_put(places, values.reshape(-1, *shape[axes:]), accumulate=True)


def _segment_sum(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
        import torch

        if not num_segments:
            return original(data, segment_ids, num_segments, sorted)
        data, ids = keras.ops.convert_to_tensor(data), keras.ops.convert_to_tensor(segment_ids).long()
        # what is in no segment goes into one more
        ids = torch.where((ids >= 0) & (ids < num_segments), ids, num_segments)
        ids = ids.reshape(-1, *(1,) * (data.ndim - 1)).expand(data.shape)
        zeros = torch.zeros((num_segments + 1, *data.shape[1:]), device=data.device)
        return zeros.scatter_reduce(0, ids, data.float(), "sum")[:-1].type(data.dtype)

    return segment_sum


def _affine_transform(original: Callable[..., Any], map_coordinates: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def affine_transform(
        images: Any,
        transform: Any,
        interpolation: str = "bilinear",
        fill_mode: str = "constant",
        fill_value: Any = 0,
        data_format: str | None = None,
    ) -> Any:
        import torch

        images, transform = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(transform)
        known = interpolation in _ORDERS and fill_mode in _FILLS
        if not known or images.ndim != 4 or transform.ndim != 2 or len(images) != len(transform):
            # one image, or an error
            return original(images, transform, interpolation, fill_mode, fill_value, data_format)
        pixels, moved_back = _channels_last(images, data_format)
        a0, a1, a2, b0, b1, b2, c0, c1 = transform.unbind(1)
        zero, one = torch.zeros_like(a0), torch.ones_like(a0)
        matrix = torch.stack([b1, a1, zero, b0, a0, zero, c0, c1, one], 1).reshape(-1, 3, 3)
        axes = (torch.arange(size, dtype=transform.dtype, device=transform.device) for size in pixels.shape[1:])
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).expand(len(pixels), -1, -1, -1, -1)
        offset = torch.stack([b2, a2, zero], 1)[..., None, None, None]
        coordinates = torch.einsum("Bhwij,Bjk->Bhwik", places, matrix).moveaxis(-1, 1) + offset
        sampled = functools.partial(
            map_coordinates, order=_ORDERS[interpolation], fill_mode=fill_mode, fill_value=fill_value
        )
        return moved_back(torch.vmap(sampled)(pixels, coordinates))

    return affine_transform


def _perspective_transform(image: Any) -> Callable[..., Any]:
    original, map_coordinates = image.perspective_transform, image.map_coordinates

    @functools.wraps(original)
    def perspective_transform(
        images: Any,
        start_points: Any,
        end_points: Any,
        interpolation: str = "bilinear",
        fill_value: Any = 0,
        data_format: str | None = None,
    ) -> Any:
        import torch

        images = keras.ops.convert_to_tensor(images)
        start, end = (keras.ops.convert_to_tensor(points, dtype=images.dtype) for points in (start_points, end_points))
        batch = images.shape[0]
        fit = all(tuple(points.shape) == (batch, 4, 2) for points in (start, end))
        if interpolation not in _ORDERS or images.ndim != 4 or not fit:
            # one image, points for all of them, or an error
            return original(images, start_points, end_points, interpolation, fill_value, data_format)
        pixels, moved_back = _channels_last(images, data_format)
        a0, a1, a2, a3, a4, a5, a6, a7 = image.compute_homography_matrix(start, end)[..., None, None].unbind(1)
        rows, columns = (torch.arange(size, dtype=pixels.dtype, device=pixels.device) for size in pixels.shape[1:3])
        x, y = torch.meshgrid(columns, rows, indexing="xy")
        denominator = a6 * x + a7 * y + 1.0
        across, down = (a0 * x + a1 * y + a2) / denominator, (a3 * x + a4 * y + a5) / denominator
        sampled = functools.partial(map_coordinates, order=_ORDERS[interpolation], fill_value=fill_value)
        of_image = torch.vmap(sampled, in_dims=(-1, None), out_dims=-1)
        return moved_back(torch.vmap(of_image)(pixels, torch.stack([down, across], 1)))

    return perspective_transform


def _channels_last(images: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    """The images so, and what puts the axes back."""
    if (data_format or keras.config.image_data_format()) == "channels_last":
        return images, lambda transformed: transformed
    return images.permute(0, 2, 3, 1), lambda transformed: transformed.permute(0, 3, 1, 2)
