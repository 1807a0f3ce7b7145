"""BatchNormalization over the rows that several processes have of a batch: the statistics are of all of them.

The formulas are those that Keras has for one process. `ops.moments` stays as it is: GroupNormalization uses it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from multilearn_keras.keras_internals import replaces
from multilearn_keras.random.rows import shared_now
from multilearn_keras.world import summed

__all__: list[str] = []


@replaces(
    "layers.normalization.batch_normalization:BatchNormalization._moments", "self inputs mask", "torch", "tensorflow"
)
def _moments(original: Callable[..., Any], layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Mean and variance, (channels,)."""
    if shared_now() is None:
        return original(layer, inputs, mask)
    axes, width = layer._reduction_axes, inputs.shape[layer.axis]
    if mask is None:
        ones = ops.ones_like(ops.take(inputs, [0], axis=layer.axis))
        sums = [ops.sum(inputs, axes), ops.sum(ops.square(inputs), axes), ops.sum(ones, axes)]
        total = summed(ops.concatenate(sums))
        mean, mean_square = total[:width] / total[-1], total[width:-1] / total[-1]
        return mean, mean_square - ops.square(mean)
    weights = ops.broadcast_to(ops.expand_dims(ops.cast(mask, inputs.dtype), layer.axis), ops.shape(inputs))
    kept = ops.cast(weights, "bool")
    total = summed(ops.concatenate([ops.sum(ops.where(kept, inputs, 0), axes), ops.sum(weights, axes)]))
    count = total[width:] + keras.config.epsilon()
    mean = total[:width] / count
    shape = [width if axis == layer.axis % len(inputs.shape) else 1 for axis in range(len(inputs.shape))]
    deviations = ops.where(kept, inputs - ops.reshape(mean, shape), 0)
    return mean, summed(ops.sum(ops.square(deviations), axes)) / count
