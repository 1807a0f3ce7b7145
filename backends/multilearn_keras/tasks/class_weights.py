"""Weights by class: what `class_weight` of Keras' `fit` is, as a part of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.plain import real, whole

__all__ = ["ClassWeights", "classes_of", "weighed"]

_RULE = "class_weight is a dict of weights by class id, or one weight for each class, in order."
_WRITE = "Write for instance class_weight={0: 1.0, 2: 5.0}; a class that is not named weighs 1."
_MOST = 1 << 20
"""How far apart class ids may be: there is one number in memory for each between them."""


class ClassWeights:
    """What the loss of an item is multiplied by in training, by the class of its target; 1 for a class without one.

    `given`: a dict by class id, or the weights of all classes, as `sklearn.utils.class_weight.compute_class_weight`
    returns them. `by_class` are the weights that were given.

    Raises `ConfigurationError` for what is none, and for weights that are negative or not finite.
    """

    def __init__(self, given: Any) -> None:
        self.complete = not isinstance(given, Mapping)
        found = dict(given) if isinstance(given, Mapping) else dict(enumerate(_listed(given)))
        self.by_class: dict[int, float] = {}
        for key, value in found.items():
            number, weight = whole(key), real(value)
            if number is None or abs(number) >= _MOST:
                raise ConfigurationError(_RULE, received=f"the class {key!r}", remedy=_WRITE)
            if not 0 <= weight < math.inf:
                raise ConfigurationError(
                    "A class weight is a finite number, 0 or more.",
                    received=f"{value!r} for class {number}",
                    remedy=_WRITE,
                )
            self.by_class[number] = weight
        first, last = min(self.by_class, default=0), max(self.by_class, default=0)
        # one more at both ends, for the ids beyond them
        self._first = first - 1
        self._table = np.array([self.by_class.get(id_, 1.0) for id_ in range(first - 1, last + 2)], "float32")

    def of(self, ids: Any) -> Any:
        """The weight of each item, float32, in the shape of `ids`."""
        places = ops.clip(ops.cast(ids, "int32") - self._first, 0, len(self._table) - 1)
        return ops.take(ops.convert_to_tensor(self._table), places)

    def check(self, classes: int) -> None:
        """Raise `ConfigurationError` for classes that a model with so many of them does not have."""
        unknown = [number for number in self.by_class if not 0 <= number < classes]
        if unknown or (self.complete and len(self.by_class) != classes):
            raise ConfigurationError(
                f"Class weights are of the classes 0 to {classes - 1}, which the model has.",
                received=f"a weight for class {unknown[0]}" if unknown else f"{len(self.by_class)} weights in order",
                remedy="Give one weight for each class, or a dict by class id."
                if self.complete
                else "Remove it, or give the model's last layer as many units as there are classes.",
            )
        if not any(self.by_class.get(number, 1.0) for number in range(classes)):
            raise ConfigurationError(
                "At least one class must count.", received="a weight of 0 for every class", remedy=_WRITE
            )


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str):
        raise ConfigurationError(
            _RULE,
            received=repr(given),
            remedy="A task does not see all data: work the weights out beforehand, as "
            'class_weight=sklearn.utils.class_weight.compute_class_weight("balanced", classes=np.arange(3), y=y).',
        )
    try:
        array = np.asarray(given)
    except Exception as error:
        raise ConfigurationError(_RULE, received=type(given).__name__, remedy=_WRITE) from error
    if array.ndim != 1 or not len(array):
        raise ConfigurationError(_RULE, received=repr(given)[:200], remedy=_WRITE)
    return list(array)


def weighed(weight: Any, classes: ClassWeights | None, ids: Any, training: bool) -> Any:
    """Sample weights, times those of the classes in training; None where there are neither.

    `ids`: the class of each item, (batch, ...), of which `weight` has as many axes. Keras refuses both at once; the
    product is what each of them asks for.
    """
    if classes is None or not training:
        return weight
    found = classes.of(ids)
    return found if weight is None else ops.multiply(weight, found)


def classes_of(y: Any, outputs: Any) -> Any:
    """The class of each item as Keras' `fit` reads it off targets of any loss, in the shape of `outputs` without the
    last axis: the number itself, rounded, or the place of the largest."""
    items = outputs[..., 0] if len(outputs.shape) > 1 else outputs
    if len(outputs.shape) > 1 and len(y.shape) == len(outputs.shape) and y.shape[-1] != 1:
        return ops.argmax(y, axis=-1)
    return ops.reshape(ops.round(ops.cast(y, "float32")), ops.shape(items))
