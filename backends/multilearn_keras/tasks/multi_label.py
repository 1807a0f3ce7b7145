"""Several labels that are each true or not."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multilearn.outputs import MultiLabelOutput
from multilearn_keras.keras_internals import get_keras_mask
from multilearn_keras.tasks.label_checks import check_items, check_labels, check_targets, check_weights
from multilearn_keras.tasks.losses import divisor, item_weights, own, spread
from multilearn_keras.tasks.supervised import Supervised, agreeing, single, unpack, with_layer_losses

__all__ = ["MultiLabelClassification"]


class MultiLabelClassification(Supervised):
    """Labels that are each true or not, for each item; with one label, a binary classification.

    `model`: outputs (batch, ..., labels), unnormalised, or probabilities with `from_logits=False`.
    Targets: 0 or 1, (batch, ..., labels); for a model with one label also (batch, ...).
    Sample weights: one for each item, (batch, ...), or for each along the first axes, such as (batch,).
    `loss`: any Keras loss of labels, by default the binary cross-entropy, a mean over the labels of each item.
    Items that the model masks are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a sigmoid or softmax while `from_logits` is true.
    """

    loss: keras.losses.Loss

    def __init__(self, model: keras.Model, loss: Any = None, from_logits: bool = True) -> None:
        super().__init__(model, None)
        self.from_logits = from_logits
        self.loss = agreeing(loss, keras.losses.BinaryCrossentropy, model, from_logits)

    def step(self, batch: Any, training: bool) -> MultiLabelOutput:
        x, y, weight = unpack(batch)
        logits = self.model(x, training=training)
        targets = ops.cast(ops.reshape(y, ops.shape(logits)), "int32")
        items = logits[..., 0]
        mask = get_keras_mask(logits)
        weight = spread(weight, items, mask)
        loss = self.loss(targets, logits, sample_weight=own(weight))
        return MultiLabelOutput(
            with_layer_losses(loss, self.model),
            divisor(self.loss.reduction, items, mask, weight),
            logits,
            targets,
            item_weights(items, mask, weight),
            self.from_logits,
        )

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        y = check_targets(y)
        shape = single(shape, self)
        check_items(x, y, weight)
        check_weights(weight, shape[:-1])
        check_labels(y, shape)
