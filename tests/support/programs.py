"""One program for many operations, where a framework makes a program of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

BACKEND = keras.backend.backend()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of arrays: one program on JAX, which compiles every operation by itself otherwise; as it is elsewhere.

    What depends on its arguments runs in the program; what does not, JAX computes while it makes the program.
    """
    if BACKEND != "jax":
        return function
    import jax

    return jax.jit(function)


def outputs_of(layer: keras.layers.Layer, x: Any, calls: int) -> list[Any]:
    """What a layer makes of arrays in training, call after call, with its random state carried on; on the host."""
    if BACKEND != "jax":
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
        outputs = [layer(tensors, training=True) for _ in range(calls)]
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)
    run = compiled(lambda state, x: layer.stateless_call([], state, x, training=True))
    state, made = [variable.value for variable in layer.non_trainable_variables], []
    for _ in range(calls):
        output, state = run(state, x)
        made.append(keras.tree.map_structure(np.asarray, output))
    return made


def shape_of(function: Callable[[], Any]) -> tuple[int, ...]:
    """Of what it returns: JAX tells it without compiling what would compute it."""
    if BACKEND != "jax":
        return tuple(function().shape)
    import jax

    return tuple(jax.eval_shape(function).shape)
