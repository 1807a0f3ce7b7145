"""Augmentation layers: drawn in the graph, their inputs left alone, and every pixel from where it should come."""

from __future__ import annotations

import random as python_random
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import ndimage, stats

from multilearn.errors import ConfigurationError
from multilearn_keras.random import seeds

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 12, 10, 3)).astype("float32")
FILLS = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    seeds.reset(20)


def numbers(tensor: Any) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def shifts(sigma: float, alpha: float, size: tuple[int, int], seed: int) -> np.ndarray:
    """The displacements of an elastic distortion, (2, height, width): seen in images whose pixels are coordinates."""
    rows, columns = np.meshgrid(*map(np.arange, size), indexing="ij")
    places = np.stack([rows, columns], -1)[None].astype("float32")
    moved = keras.ops.image.elastic_transform(places, alpha, sigma, fill_mode="nearest", seed=seed)
    return (numbers(moved)[0] - places[0]).transpose(2, 0, 1)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_an_elastic_distortion_takes_pixels_as_scipy_does(fill: str, interpolation: str) -> None:
    noise = numbers(keras.random.normal((2, 2, 12, 10), seed=5))
    blurred = ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5), mode="constant", truncate=20)
    rows, columns = blurred * 1.5 * 4.0 + np.stack(np.meshgrid(np.arange(12), np.arange(10), indexing="ij"))[:, None]
    order = 1 if interpolation == "bilinear" else 0
    expected = [
        ndimage.map_coordinates(IMAGES[b, :, :, c], [rows[b], columns[b]], order=order, mode=FILLS[fill], cval=7.0)
        for b in range(2)
        for c in range(3)
    ]
    drawn = keras.ops.image.elastic_transform(
        IMAGES, 4.0, 1.5, interpolation, fill, 7.0, seed=5, data_format="channels_last"
    )
    wrong = np.abs(numbers(drawn).transpose(0, 3, 1, 2).reshape(6, 12, 10) - expected) > 0.05
    assert wrong.mean() < 0.02  # at the edge between two pixels, or of the image, the nearest may be either
    if interpolation == "bilinear" and fill != "constant":
        assert not wrong.any()


def test_displacements_are_normal_and_those_of_rows_and_columns_differ() -> None:
    # far from the edges, with smoothing by a kernel whose squares add up to 1 / (4 pi sigma**2)
    moved = np.stack([shifts(1.0, 2.0, (40, 40), seed)[:, 8:32:5, 8:32:5] for seed in range(40)])
    scaled = moved / (2.0 / np.sqrt(4 * np.pi))
    assert stats.kstest(scaled.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(scaled[:, 0].ravel(), scaled[:, 1].ravel())[0, 1]) < 0.15


def test_one_image_channels_first_and_other_types() -> None:
    both = numbers(keras.ops.image.elastic_transform(IMAGES, seed=3))
    first = keras.ops.image.elastic_transform(IMAGES.transpose(0, 3, 1, 2), seed=3, data_format="channels_first")
    np.testing.assert_array_equal(numbers(first).transpose(0, 2, 3, 1), both)
    assert numbers(keras.ops.image.elastic_transform(IMAGES[0], seed=3)).shape == (12, 10, 3)
    assert numbers(keras.ops.image.elastic_transform(IMAGES.astype("uint8"), seed=3)).dtype == np.uint8
    still = keras.ops.image.elastic_transform(IMAGES, alpha=0.0, sigma=0.0, seed=3)
    np.testing.assert_array_equal(numbers(still), IMAGES)


@pytest.mark.parametrize("wrong", [{"fill_mode": "edge"}, {"interpolation": "cubic"}])
def test_an_elastic_distortion_refuses_what_it_does_not_know(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="must be one of"):
        keras.ops.image.elastic_transform(IMAGES, **wrong)
    with pytest.raises(ConfigurationError, match="3 or 4 axes"):
        keras.ops.image.elastic_transform(IMAGES[0, 0])


def test_aug_mix_chooses_anew_at_every_call_and_by_the_seed_alone() -> None:
    def drawn() -> list[np.ndarray]:
        seeds.reset(4)
        layer = layers.AugMix(num_chains=1, chain_depth=1, all_ops=False)
        return [numbers(layer(ops.convert_to_tensor(IMAGES), training=True)) for _ in range(2)]

    one = drawn()
    python_random.seed(99)
    for left, right in zip(one, drawn(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert len({made.tobytes() for made in one}) == 2


def test_brightness_leaves_the_images_it_is_given() -> None:
    images = ops.convert_to_tensor(IMAGES.copy())
    layer = layers.RandomBrightness(0.5)
    changed = layer.transform_images(images, layer.get_random_transformation(images))
    assert np.array_equal(numbers(images), IMAGES)
    assert not np.array_equal(numbers(changed), IMAGES)


def test_an_affine_transformation_leaves_its_matrix() -> None:
    images = ops.convert_to_tensor(IMAGES)
    layer = layers.RandomRotation(0.3)
    transformation = layer.get_random_transformation(images)
    once = numbers(layer.transform_images(images, transformation))
    np.testing.assert_array_equal(numbers(layer.transform_images(images, transformation)), once)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_images_are_transformed_together_as_each_by_itself(interpolation: str) -> None:
    matrices = np.array([[0.9, 0.2, 1.3, -0.1, 1.1, -2.2, 0, 0], [1, -0.3, 0.4, 0.2, 0.8, 1.1, 0, 0]], "float32")
    # which TensorFlow does not know
    mirror = () if keras.backend.backend() == "tensorflow" else ("mirror",)
    for fill in ("constant", "nearest", "reflect", *mirror):
        together = ops.image.affine_transform(IMAGES, matrices, interpolation, fill, 7.0)
        apart = [
            ops.image.affine_transform(*each, interpolation, fill, 7.0) for each in zip(IMAGES, matrices, strict=True)
        ]
        np.testing.assert_allclose(numbers(together), [numbers(each) for each in apart], rtol=1e-4, atol=2e-3)
    start = np.array([[[0, 0], [9, 0], [0, 11], [9, 11]]] * 2, "float32")
    end = start + np.random.default_rng(1).uniform(0, 2, start.shape).astype("float32")
    together = ops.image.perspective_transform(IMAGES, start, end, interpolation, 7.0)
    apart = [
        ops.image.perspective_transform(*each, interpolation, 7.0) for each in zip(IMAGES, start, end, strict=True)
    ]
    np.testing.assert_allclose(numbers(together), [numbers(each) for each in apart], rtol=1e-4, atol=2e-3)


def test_what_is_scattered_to_one_place_is_added_up() -> None:
    places, values = np.array([[1, 0], [0, 2], [1, 0], [1, 2]]), np.array([1, 2, 4, 8], "float32")
    assert numbers(ops.scatter(places, values, (2, 3))).tolist() == [[0, 0, 2], [5, 0, 8]]
    rows = numbers(ops.segment_sum(np.ones((4, 2), "float32"), np.array([0, 2, -1, 2]), 3))
    assert rows.tolist() == [[1, 1], [0, 0], [2, 2]]


def test_mix_up_weighs_by_beta_numbers() -> None:
    layer, labels = layers.MixUp(alpha=0.4, seed=3), np.eye(400, dtype="float32")
    mixed = layer({"images": np.zeros((400, 4, 4, 1), "float32"), "labels": labels}, training=True)["labels"]
    weights = np.diagonal(numbers(mixed))
    assert stats.kstest(weights[weights < 1], stats.beta(0.4, 0.4).cdf).pvalue > 1e-4
