"""Keras' augmentation layers, where they are not the same on every framework though their draws are.

Some write into what they are given where the framework lets them, some choose in Python, once for each trace.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from multilearn.errors import ConfigurationError
from multilearn_keras.keras_internals import INSIDE, inside, replaces
from multilearn_keras.patches.elastic import elastic_transform
from multilearn_keras.patches.parity import own_copy
from multilearn_keras.random.draws import Draws
from multilearn_keras.random.seeds import is_chosen

__all__ = ["install", "replace_images"]

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
