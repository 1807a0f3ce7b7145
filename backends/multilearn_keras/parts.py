"""What a Keras model is made of, for a look at what does not learn."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multilearn.protocols import Parts
from multilearn_keras.state.keys import all_layers

__all__ = ["parts_of"]


def parts_of(task: Any) -> Parts:
    """Of the model of a task; variables are called by their paths."""
    model, layers = task.model, list(all_layers(task).values())
    frozen = [
        variable.path
        for layer in model._flatten_layers()
        for variable in layer._trainable_variables
        if not variable.trainable
    ]
    return Parts(
        trained=tuple(variable.path for variable in model.trainable_variables),
        frozen=tuple(dict.fromkeys(frozen)),
        drawing=tuple(dict.fromkeys(layer.name for layer in layers if _draws(layer))),
        penalty=sum(_penalty(variable) for variable in model.trainable_variables),
    )


def _draws(layer: Any) -> bool:
    """Whether it draws when it is trained: a rate of zero draws nothing."""
    known = isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
    return known and getattr(layer, "rate", None) != 0


def _penalty(variable: keras.Variable) -> float:
    regularizer = getattr(variable, "regularizer", None)
    return 0.0 if regularizer is None else float(ops.convert_to_numpy(regularizer(variable)))
