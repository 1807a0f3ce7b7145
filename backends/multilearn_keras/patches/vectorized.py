"""What Keras' backend for torch computes item by item, or by looking at values, as operations on whole arrays.

The results have the same bits. A loop over the images of a batch is captured image by image, which takes thousands of
operations for each batch; and a step that looks at a value cannot be captured at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from multilearn_keras.keras_internals import INSIDE, backend_module, replaces
from multilearn_keras.patches.augmentation import FILLS

__all__: list[str] = []

if keras.backend.backend() == "torch":
    INSIDE |= {
        "backend:image.map_coordinates": "inputs coordinates order fill_mode fill_value",
        "backend:image.compute_homography_matrix": "start_points end_points",
    }

_ORDERS = {"nearest": 0, "bilinear": 1}


@replaces("backend:core.scatter", "indices values shape", "torch")
def _scatter(original: Callable[..., Any], indices: Any, values: Any, shape: Sequence[int]) -> Any:
    """Zeros of `shape` with `values` added at `indices` (..., axes): what occurs twice is added twice."""
    import torch

    indices, values = keras.ops.convert_to_tensor(indices), keras.ops.convert_to_tensor(values)
    axes = indices.shape[-1]
    places = tuple(indices.reshape(-1, axes).long().unbind(1))
    zeros = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return zeros.index_put(places, values.reshape(-1, *shape[axes:]), accumulate=True)


@replaces("backend:math.segment_sum", "data segment_ids num_segments sorted", "torch")
def _segment_sum(
    original: Callable[..., Any], data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
) -> Any:
    import torch

    if not num_segments:
        return original(data, segment_ids, num_segments, sorted)
    data, ids = keras.ops.convert_to_tensor(data), keras.ops.convert_to_tensor(segment_ids).long()
    # what is in no segment goes into one more
    ids = torch.where((ids >= 0) & (ids < num_segments), ids, num_segments)
    ids = ids.reshape(-1, *(1,) * (data.ndim - 1)).expand(data.shape)
    # Keras sums whole numbers and doubles in single precision too, which is wrong from 2^24 on
    summed = data.float() if data.dtype in (torch.float16, torch.bfloat16, torch.bool) else data
    zeros = torch.zeros((num_segments + 1, *data.shape[1:]), dtype=summed.dtype, device=data.device)
    return zeros.scatter_reduce(0, ids, summed, "sum")[:-1].type(data.dtype)


@replaces("backend:image.affine_transform", "images transform interpolation fill_mode fill_value data_format", "torch")
def _affine_transform(
    original: Callable[..., Any],
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Any:
    import torch

    images, transform = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(transform)
    known = interpolation in _ORDERS and fill_mode in FILLS
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
    sampled = _sampling(interpolation, fill_mode=fill_mode, fill_value=fill_value)
    return moved_back(torch.vmap(sampled)(pixels, coordinates))


@replaces(
    "backend:image.perspective_transform",
    "images start_points end_points interpolation fill_value data_format",
    "torch",
)
def _perspective_transform(
    original: Callable[..., Any],
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
    homography = backend_module("image").compute_homography_matrix(start, end)
    a0, a1, a2, a3, a4, a5, a6, a7 = homography[..., None, None].unbind(1)
    rows, columns = (torch.arange(size, dtype=pixels.dtype, device=pixels.device) for size in pixels.shape[1:3])
    x, y = torch.meshgrid(columns, rows, indexing="xy")
    denominator = a6 * x + a7 * y + 1.0
    across, down = (a0 * x + a1 * y + a2) / denominator, (a3 * x + a4 * y + a5) / denominator
    of_image = torch.vmap(_sampling(interpolation, fill_value=fill_value), in_dims=(-1, None), out_dims=-1)
    return moved_back(torch.vmap(of_image)(pixels, torch.stack([down, across], 1)))


def _sampling(interpolation: str, **fill: Any) -> Callable[..., Any]:
    return functools.partial(backend_module("image").map_coordinates, order=_ORDERS[interpolation], **fill)


def _channels_last(images: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    """The images so, and what puts the axes back."""
    if (data_format or keras.config.image_data_format()) == "channels_last":
        return images, lambda transformed: transformed
    return images.permute(0, 2, 3, 1), lambda transformed: transformed.permute(0, 3, 1, 2)
