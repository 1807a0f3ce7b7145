"""One class out of several."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multilearn.outputs import ClassificationOutput
from multilearn_keras.tasks.label_checks import check_ids, check_items, check_one_hot, check_targets, check_weights
from multilearn_keras.tasks.losses import (
    counted,
    divisor,
    ignored_by,
    item_weights,
    leaving_out,
    own,
    spread,
    takes_class_ids,
)
from multilearn_keras.tasks.supervised import Supervised, agreeing, both_forms, single, unpack, with_layer_losses

__all__ = ["Classification"]


class Classification(Supervised):
    """One class out of several for each item.

    `model`: outputs (batch, ..., classes), unnormalised, or probabilities with `from_logits=False`.
    Targets: class ids (batch, ...) or (batch, ..., 1), or one-hot (batch, ..., classes).
    Sample weights: one for each item, (batch, ...), or for each along the first axes, such as (batch,).
    `loss`: any Keras loss of classes, by default the (sparse) categorical cross-entropy.
    Items that the model masks (`Embedding(mask_zero=True)`) are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a softmax or sigmoid while `from_logits` is true.
    """

    loss: keras.losses.Loss
    padding: int | None = None

    def __init__(self, model: keras.Model, loss: Any = None, from_logits: bool = True) -> None:
        super().__init__(model, None)
        self.from_logits = from_logits
        self.loss = agreeing(loss, keras.losses.SparseCategoricalCrossentropy, model, from_logits)

    def step(self, batch: Any, training: bool) -> ClassificationOutput:
        x, y, weight = self._unpacked(batch)
        logits = self.model(x, training=training)
        ids, targets = both_forms(y, logits, sparse=takes_class_ids(self.loss))
        if self.padding is not None:
            logits, targets = leaving_out(self.padding, ids, logits, targets)
        mask = counted(logits, ids, self.loss)
        weight = spread(weight, ids, mask)
        loss = self.loss(targets, logits, sample_weight=own(weight))
        return ClassificationOutput(
            with_layer_losses(loss, self.model),
            divisor(self.loss.reduction, ids, mask, weight),
            ops.reshape(logits, (*ops.shape(ids), logits.shape[-1])),
            ids,
            item_weights(ids, mask, weight),
            self.from_logits,
        )

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = self._unpacked(batch)
        y = check_targets(y)
        shape = single(shape, self)
        classes = shape[-1]
        check_items(x, y, weight)
        check_weights(weight, shape[:-1])
        if classes is None:
            return
        if y.ndim == len(shape) and y.shape[-1] == classes and classes > 1:
            check_one_hot(y, shares=not takes_class_ids(self.loss))
        else:
            left_out = {ignored_by(self.loss), self.padding} - {None}
            check_ids(y, classes, shape, {number for number in left_out if number is not None})

    def _unpacked(self, batch: Any) -> tuple[Any, Any, Any]:
        return unpack(batch)
