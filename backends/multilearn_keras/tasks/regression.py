"""Numbers to predict."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multilearn.outputs import RegressionOutput
from multilearn_keras.keras_internals import get_keras_mask
from multilearn_keras.tasks.label_checks import check_items, check_numbers, check_targets, check_weights
from multilearn_keras.tasks.losses import divisor, item_weights, own, spread, understood
from multilearn_keras.tasks.supervised import Supervised, single, unpack, with_layer_losses

__all__ = ["Regression"]


class Regression(Supervised):
    """Numbers for each item.

    `model`: outputs (batch, ...); targets of the same shape, a trailing axis of length 1 may be missing.
    Sample weights: one for each item, (batch, ...) without the last axis, or along the first axes, such as (batch,).
    `loss`: any Keras loss of numbers, by default the mean squared error.
    Items that the model masks are counted neither in the loss nor in metrics.
    """

    loss: keras.losses.Loss

    def __init__(self, model: keras.Model, loss: Any = None) -> None:
        super().__init__(model, understood(loss or keras.losses.MeanSquaredError()))

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        x, y, weight = unpack(batch)
        predictions = self.model(x, training=training)
        targets = ops.reshape(y, ops.shape(predictions))
        # a Keras loss of numbers averages over the last axis first
        items = predictions[..., 0] if len(predictions.shape) > 1 else predictions
        mask = get_keras_mask(predictions)
        weight = spread(weight, items, mask)
        loss = self.loss(targets, predictions, sample_weight=own(weight))
        return RegressionOutput(
            with_layer_losses(loss, self.model),
            divisor(self.loss.reduction, items, mask, weight),
            predictions,
            targets,
            item_weights(items, mask, weight),
        )

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        y = check_targets(y)
        shape = single(shape, self)
        check_items(x, y, weight)
        check_weights(weight, shape[:-1] if len(shape) > 1 else shape)
        check_numbers(y, shape)
