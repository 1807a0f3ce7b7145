"""Losses that layers have, regularizers above all: whether the step of a task uses them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from multilearn_keras.tasks.supervised import Supervised

__all__ = ["warned_of_unused_losses"]

_log = logging.getLogger("multilearn")


@contextmanager
def warned_of_unused_losses(task: Any, model: Any) -> Iterator[None]:
    """Meanwhile a step of `task` is tried, which trains `model`: the log warns of regularizers that it does not use."""
    original: Any = keras.layers.Layer.losses
    read: list[str] = []

    def losses(layer: Any) -> Any:
        read.append(layer.name)
        return original.fget(layer)

    keras.layers.Layer.losses = property(losses)
    try:
        yield
    finally:
        keras.layers.Layer.losses = original
    if read or isinstance(task, Supervised):
        return
    names = [v.path for v in model.trainable_variables if getattr(v, "regularizer", None) is not None]
    names += [each.name for each in model._flatten_layers() if getattr(each, "activity_regularizer", None) is not None]
    if names:
        message = (
            "The step of %s does not use the losses of its layers, so the regularizers of %s have no effect: add %s."
        )
        _log.warning(message, type(task).__name__, ", ".join(names), "sum(self.model.losses) to its loss")
