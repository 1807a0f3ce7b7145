"""Augmentation layers: drawn in the graph, their inputs left alone, and every pixel from where it should come."""

from __future__ import annotations

import random as python_random
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import ndimage, stats
from support.programs import compiled, outputs_of

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


def distorted(images: Any, *args: Any, **options: Any) -> np.ndarray:
    return numbers(compiled(lambda x: keras.ops.image.elastic_transform(x, *args, **options))(images))


ROWS, COLUMNS = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
PLACES = np.stack([ROWS, COLUMNS], -1)[None].astype("float32")


@compiled
def moved(seed: Any) -> Any:
    """An image whose pixels are coordinates, distorted with alpha 2 and sigma 1."""
    return keras.ops.image.elastic_transform(ops.convert_to_tensor(PLACES), 2.0, 1.0, fill_mode="nearest", seed=seed)


def shifts(seed: int) -> np.ndarray:
    """The displacements of the distortion, (2, height, width)."""
    return (numbers(moved(keras.random.SeedGenerator(seed).state.value))[0] - PLACES[0]).transpose(2, 0, 1)


@pytest.mark.parametrize(("interpolation", "fill"), [*(("bilinear", fill) for fill in FILLS), ("nearest", "wrap")])
def test_an_elastic_distortion_takes_pixels_as_scipy_does(interpolation: str, fill: str) -> None:
    noise = numbers(keras.random.normal((2, 2, 12, 10), seed=5))
    blurred = ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5), mode="constant", truncate=20)
    rows, columns = blurred * 1.5 * 4.0 + np.stack(np.meshgrid(np.arange(12), np.arange(10), indexing="ij"))[:, None]
    order = 1 if interpolation == "bilinear" else 0
    expected = [
        ndimage.map_coordinates(IMAGES[b, :, :, c], [rows[b], columns[b]], order=order, mode=FILLS[fill], cval=7.0)
        for b in range(2)
        for c in range(3)
    ]
    drawn = distorted(IMAGES, 4.0, 1.5, interpolation, fill, 7.0, seed=5, data_format="channels_last")
    wrong = np.abs(drawn.transpose(0, 3, 1, 2).reshape(6, 12, 10) - expected) > 0.05
    assert wrong.mean() < 0.02  # at the edge between two pixels, or of the image, the nearest may be either
    if interpolation == "bilinear" and fill != "constant":
        assert not wrong.any()


def test_displacements_are_normal_and_those_of_rows_and_columns_differ() -> None:
    # far from the edges, with smoothing by a kernel whose squares add up to 1 / (4 pi sigma**2)
    drawn = np.stack([shifts(seed)[:, 8:32:5, 8:32:5] for seed in range(40)])
    scaled = drawn / (2.0 / np.sqrt(4 * np.pi))
    assert stats.kstest(scaled.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(scaled[:, 0].ravel(), scaled[:, 1].ravel())[0, 1]) < 0.15


def test_one_image_channels_first_and_other_types() -> None:
    both = distorted(IMAGES, 4.0, 1.5, seed=3)
    first = distorted(IMAGES.transpose(0, 3, 1, 2), 4.0, 1.5, seed=3, data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), both, rtol=1e-5, atol=1e-3)
    assert distorted(IMAGES[0], 4.0, 1.5, seed=3).shape == (12, 10, 3)
    assert distorted(IMAGES.astype("uint8"), 4.0, 1.5, seed=3).dtype == np.uint8
    np.testing.assert_array_equal(distorted(IMAGES, alpha=0.0, sigma=0.0, seed=3), IMAGES)


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
        layer._augment_layers = ["solarization", "auto_contrast"]  # XLA compiles others for a minute
        layer.build(IMAGES.shape)
        return outputs_of(layer, IMAGES, 2)

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
    transformed = compiled(lambda images: layer.transform_images(images, transformation))
    once = numbers(transformed(images))
    np.testing.assert_array_equal(numbers(transformed(images)), once)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_images_are_transformed_together_as_each_by_itself(interpolation: str) -> None:
    matrices = np.array([[0.9, 0.2, 1.3, -0.1, 1.1, -2.2, 0, 0], [1, -0.3, 0.4, 0.2, 0.8, 1.1, 0, 0]], "float32")
    # which TensorFlow does not know
    mirror = () if keras.backend.backend() == "tensorflow" else ("mirror",)
    start = np.array([[[0, 0], [9, 0], [0, 11], [9, 11]]] * 2, "float32")
    end = start + np.random.default_rng(1).uniform(0, 2, start.shape).astype("float32")

    @compiled
    def transformed(images: Any, matrices: Any, start: Any, end: Any) -> list[Any]:
        """By each fill, and then by perspective."""
        fills = ("constant", "nearest", "reflect", *mirror)
        turned = [ops.image.affine_transform(images, matrices, interpolation, fill, 7.0) for fill in fills]
        return [*turned, ops.image.perspective_transform(images, start, end, interpolation, 7.0)]

    given = (IMAGES, matrices, start, end)
    apart = [transformed(*(array[item] for array in given)) for item in range(2)]
    for together, *each in zip(transformed(*given), *apart, strict=True):
        np.testing.assert_allclose(numbers(together), [numbers(one) for one in each], rtol=1e-4, atol=2e-3)


def test_what_is_scattered_to_one_place_is_added_up() -> None:
    places, values = np.array([[1, 0], [0, 2], [1, 0], [1, 2]]), np.array([1, 2, 4, 8], "float32")
    assert numbers(ops.scatter(places, values, (2, 3))).tolist() == [[0, 0, 2], [5, 0, 8]]
    rows = numbers(ops.segment_sum(np.ones((4, 2), "float32"), np.array([0, 2, -1, 2]), 3))
    assert rows.tolist() == [[1, 1], [0, 0], [2, 2]]
    counts = ops.segment_sum(np.array([2**24, 1, 5], "int32"), np.array([1, 1, 0]), 2)
    assert numbers(counts).tolist() == [5, 2**24 + 1]


def test_mix_up_weighs_by_beta_numbers() -> None:
    layer, labels = layers.MixUp(alpha=0.4, seed=3), np.eye(400, dtype="float32")
    layer.build((400, 4, 4, 1))
    (mixed,) = outputs_of(layer, {"images": np.zeros((400, 4, 4, 1), "float32"), "labels": labels}, 1)
    weights = np.diagonal(mixed["labels"])
    assert stats.kstest(weights[weights < 1], stats.beta(0.4, 0.4).cdf).pvalue > 1e-4
