"""Modules of torch inside of a Keras model, which read their own tensors and not the values that a scope gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import torch

from multilearn_keras.state.keys import all_layers

__all__ = ["ModuleValues"]


class ModuleValues:
    """Other values for the parameters and buffers in the `TorchModuleWrapper`s of a task.

    `values`: pairs of a variable and the value it is to have.
    """

    def __init__(self, task: Any, values: Sequence[tuple[keras.Variable, torch.Tensor]]) -> None:
        given = {id(variable.value): value for variable, value in values if variable.value is not value}
        self._places = [
            (store, name, tensor, given[id(tensor)])
            for layer in all_layers(task).values()
            if given and isinstance(layer, keras.layers.TorchModuleWrapper)
            for module in layer.module.modules()
            for store in (module._parameters, module._buffers)
            for name, tensor in store.items()
            if id(tensor) in given
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts the modules have them; it may begin and end while a step is captured."""
        for store, name, _, value in self._places:
            store[name] = value
        try:
            yield
        finally:
            for store, name, tensor, _ in self._places:
                store[name] = tensor
