"""How a training step is traced: what it may assign to, and what its loss depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import keras

__all__ = ["TrainingScope", "depends"]


class TrainingScope(keras.StatelessScope):
    """Where a layer may assign to what is being trained, as `SpectralNormalization` does to the kernel of its layer.

    The gradient is that by the assigned value, as where variables are written into.
    """

    def __init__(self, mapping: Sequence[tuple[keras.Variable, Any]], trained: Sequence[keras.Variable]) -> None:
        super().__init__(mapping, collect_losses=True)
        self._trained = {id(variable) for variable in trained}

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        variable, value = update
        if id(variable) in self._trained:
            before = self.get_current_value(variable)
            # adds zero, with the gradient of `before`
            value = jax.lax.stop_gradient(value) + (before - jax.lax.stop_gradient(before))
        super().add_update((variable, value))


def depends(program: Any, first: int) -> bool:
    """Whether what a program of JAX returns follows from its arguments from number `first` on."""
    following = set(map(id, program.invars[first:]))
    for step in program.eqns:
        if any(id(variable) in following for variable in step.invars):
            following.update(map(id, step.outvars))
    return any(id(variable) in following for variable in program.outvars)
