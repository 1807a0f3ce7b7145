"""What TensorFlow has no second derivative of, or a wrong one without a word, for as long as one may be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops as framework

from multilearn.errors import ConfigurationError

__all__ = ["differentiable_twice"]


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Meanwhile the variance of `tf.nn.moments`, which normalizations ask, knows that the mean moves: it is a constant
    there, of which only the first derivative is right. And bilinear resizing says that it has no second one."""
    # for good: what is recorded now is differentiated later
    framework.gradient_registry._registry["ResizeBilinearGrad"]["type"] = _refuse
    original, tf.nn.moments = tf.nn.moments, _moments
    try:
        yield
    finally:
        tf.nn.moments = original


def _moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None) -> tuple[Any, Any]:
    """As TensorFlow's, in float32 if x is in half precision."""
    wide = tf.cast(x, tf.float32) if x.dtype in (tf.float16, tf.bfloat16) else x
    mean = tf.reduce_mean(wide, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(wide, mean), axes, keepdims=True)
    found = (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))
    return tf.cast(found[0], x.dtype), tf.cast(found[1], x.dtype)


def _refuse(op: Any, *given: Any) -> None:
    raise ConfigurationError(
        "A gradient that is differentiated again needs functions that have a second derivative.",
        received="bilinear resizing, which has none on TensorFlow",
        remedy="Leave it out of the function that gradient is given, or resize before it.",
    )
