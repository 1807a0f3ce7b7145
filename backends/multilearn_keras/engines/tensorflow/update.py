"""TensorFlow's own kernel for an update of Adam, in place of the dozen operations per variable that Keras writes.

The kernel computes Keras' formula: with alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t), m += (g - m)(1 - beta_1),
v += (g^2 - v)(1 - beta_2), w -= alpha m / (sqrt(v) + epsilon). All that comes before and after an update (clipping,
weight decay, averages, constraints) stays Keras' own.

The kernel subtracts beta from 1 in the variable's precision: 1 - 0.999 is 1.3e-5 too small in single precision, which
would make v smaller from the first update on. So the gradient is scaled until what is added to v is right, and the rate
until what m has of it is taken back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

__all__ = ["by_kernels"]


@contextmanager
def by_kernels(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Meanwhile, updates that are traced are the kernel's, where it computes what the optimizer would."""
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    if not (tf.inside_function() and _is_plain_adam(inner)):
        yield
        return
    object.__setattr__(inner, "update_step", partial(_update_step, inner))
    try:
        yield
    finally:
        object.__delattr__(inner, "update_step")


def _update_step(optimizer: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
    """What the method of this name of Keras' Adam does."""
    at = optimizer._get_variable_index(variable)
    dtype = variable.dtype
    step = tf.cast(optimizer.iterations + 1, dtype)
    of_gradient, of_rate = _scales(optimizer, dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=optimizer._momentums[at].value.handle,
        v=optimizer._velocities[at].value.handle,
        beta1_power=tf.pow(tf.cast(optimizer.beta_1, dtype), step),
        beta2_power=tf.pow(tf.cast(optimizer.beta_2, dtype), step),
        lr=tf.cast(learning_rate, dtype) * tf.cast(of_rate, dtype),
        beta1=tf.cast(optimizer.beta_1, dtype),
        beta2=tf.cast(optimizer.beta_2, dtype),
        epsilon=tf.cast(optimizer.epsilon, dtype),
        grad=tf.cast(gradient, dtype) * tf.cast(of_gradient, dtype),
    )


def _scales(optimizer: Any, dtype: Any) -> tuple[float, float]:
    """What the gradient and the rate are multiplied with."""
    number = tf.as_dtype(dtype).as_numpy_dtype
    first, second = (float(number(1) - number(beta)) / (1 - beta) for beta in (optimizer.beta_1, optimizer.beta_2))
    gradient = 1 / math.sqrt(second)
    return gradient, 1 / (gradient * first)


def _is_plain_adam(optimizer: Any) -> bool:
    own = type(optimizer).update_step
    return own is keras.optimizers.Adam.update_step and not optimizer.amsgrad
