"""What is trained: a Keras model and what a batch means to it.

A task of one's own is any object with a `model` and a pure `step`:

    class Autoencoder:
        def __init__(self, model):
            self.model = model

        def step(self, batch, training):
            restored = self.model(batch, training=training)
            loss = keras.ops.mean(keras.ops.square(batch - restored))
            return RegressionOutput(loss, keras.ops.shape(batch)[0], restored, batch)
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src.backend.common.masking import get_keras_mask

from multilearn.errors import ConfigurationError, DataError
from multilearn.outputs import ClassificationOutput, Output, RegressionOutput
from multilearn_keras.activations import refuse_activated
from multilearn_keras.labels import check_ids, check_items, check_one_hot, check_targets
from multilearn_keras.losses import (
    counted,
    divisor,
    from_logits_of,
    ignored_by,
    is_categorical,
    item_weights,
    own,
    takes_class_ids,
    understood,
)

__all__ = ["Classification", "CompiledModel", "Regression", "unpack"]


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of a batch as Keras reads it; what is not there is None."""
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise DataError(
            "A batch must be x, (x, y) or (x, y, sample_weight).",
            received=f"a tuple of {len(batch)}",
            remedy="Several inputs go into one dict or list: ({'a': a, 'b': b}, y).",
        )
    x, y, weight = (*batch, None, None)[:3]
    return x, y, weight


class Classification:
    """One class out of several for each item.

    `model`: outputs (batch, ..., classes), unnormalised, or probabilities with `from_logits=False`.
    Targets: class ids (batch, ...) or (batch, ..., 1), or one-hot (batch, ..., classes).
    `loss`: any Keras loss of classes, by default the (sparse) categorical cross-entropy.
    Items that the model masks (`Embedding(mask_zero=True)`) are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a softmax while `from_logits` is true.
    """

    def __init__(self, model: keras.Model, loss: Any = None, from_logits: bool = True) -> None:
        self.model = _model(model)
        self.from_logits = from_logits
        self.loss = understood(loss or keras.losses.SparseCategoricalCrossentropy(from_logits), from_logits)
        if from_logits_of(self.loss) not in (None, from_logits):
            raise ConfigurationError(
                "The loss and the task must agree on whether the model outputs logits.",
                received=f"from_logits={from_logits}, and a loss with from_logits={from_logits_of(self.loss)}",
                remedy="Give both the same.",
            )
        if from_logits:
            refuse_activated(self.model)

    def step(self, batch: Any, training: bool) -> ClassificationOutput:
        x, y, weight = unpack(batch)
        logits = self.model(x, training=training)
        classes = logits.shape[-1]
        ids, targets = _both_forms(y, logits, sparse=takes_class_ids(self.loss))
        loss = self.loss(targets, logits, sample_weight=own(weight))
        mask = counted(logits, ids, self.loss)
        return ClassificationOutput(
            _with_layer_losses(loss, self.model),
            divisor(self.loss.reduction, ids, mask, weight),
            ops.reshape(logits, (*ops.shape(ids), classes)),
            ids,
            item_weights(ids, mask, weight),
            self.from_logits,
        )

    def check(self, batch: Any, shape: tuple[int | None, ...]) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        y = check_targets(y)
        classes = shape[-1]
        check_items(x, y, weight)
        if classes is None:
            return
        if y.ndim == len(shape) and y.shape[-1] == classes and classes > 1:
            check_one_hot(y, shares=not takes_class_ids(self.loss))
        else:
            check_ids(y, classes, shape, ignored_by(self.loss))


class Regression:
    """Numbers for each item.

    `model`: outputs (batch, ...); targets of the same shape, a trailing axis of length 1 may be missing.
    `loss`: any Keras loss of numbers, by default the mean squared error.
    """

    def __init__(self, model: keras.Model, loss: Any = None) -> None:
        self.model = _model(model)
        self.loss = understood(loss or keras.losses.MeanSquaredError())

    def step(self, batch: Any, training: bool) -> RegressionOutput:
        x, y, weight = unpack(batch)
        predictions = self.model(x, training=training)
        loss = self.loss(y, predictions, sample_weight=own(weight))
        # a Keras loss of numbers averages over the last axis first
        items = predictions[..., 0] if len(predictions.shape) > 1 else predictions
        mask = get_keras_mask(predictions)
        return RegressionOutput(
            _with_layer_losses(loss, self.model),
            divisor(self.loss.reduction, items, mask, weight),
            predictions,
            ops.reshape(y, ops.shape(predictions)),
            item_weights(items, mask, weight),
        )

    def check(self, batch: Any, shape: tuple[int | None, ...]) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        y = check_targets(y)
        check_items(x, y, weight)
        expected = tuple(shape[1:])
        if y.shape[1:] != expected and (*y.shape[1:], 1) != expected and None not in expected:
            raise DataError(
                "The targets of a regression must have the shape of the model's output.",
                received=f"targets {('batch', *y.shape[1:])}, output {('batch', *expected)}",
                remedy="Reshape the targets, or change the model's last layer.",
            )


class CompiledModel:
    """A compiled Keras model as it is: its own loss, loss weights, regularizers and sample weights."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        several = model.loss is None or isinstance(model.loss, (dict, list, tuple))
        self.loss = None if several else understood(model.loss)
        if self.loss is not None and from_logits_of(self.loss):
            refuse_activated(model)

    def step(self, batch: Any, training: bool) -> Output:
        x, y, weight = unpack(batch)
        predictions = self.model(x, training=training)
        # not compute_loss: one that is overridden may know no `training`, and Keras sees to that here
        loss = self.model._compute_loss(x, y, predictions, own(weight), training)
        first = keras.tree.flatten(predictions)[0]
        reduction = getattr(self.loss, "reduction", "sum_over_batch_size")
        mask = get_keras_mask(first)
        single = self.loss is not None and not isinstance(predictions, (dict, list, tuple))
        if single and is_categorical(self.loss):
            ids, _ = _both_forms(y, first, sparse=True)
            mask = counted(first, ids, self.loss)
            count = divisor(reduction, ids, mask, weight)
            logits = ops.reshape(first, (*ops.shape(ids), first.shape[-1]))
            from_logits = bool(from_logits_of(self.loss))
            return ClassificationOutput(loss, count, logits, ids, item_weights(ids, mask, weight), from_logits)
        items = first[..., 0] if len(first.shape) > 1 else first
        if not single:
            return RegressionOutput(loss, ops.shape(first)[0], predictions, y)
        return RegressionOutput(
            loss, divisor(reduction, items, mask, weight), first, y, item_weights(items, mask, weight)
        )

    def check(self, batch: Any, shape: tuple[int | None, ...]) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = unpack(batch)
        if self.loss is None or isinstance(y, (dict, list, tuple)):
            check_items(x, None, None)
            return
        y = check_targets(y)
        check_items(x, y, weight)
        if is_categorical(self.loss) and takes_class_ids(self.loss) and shape[-1] is not None:
            check_ids(y, shape[-1], shape, ignored_by(self.loss))


def _model(model: Any) -> keras.Model:
    if not isinstance(model, keras.layers.Layer):
        raise ConfigurationError(
            "A task trains a Keras model.",
            received=type(model).__name__,
            remedy="Give a keras.Model or keras.Sequential object.",
        )
    return model


def _with_layer_losses(loss: Any, model: keras.Model) -> Any:
    for extra in model.losses:
        # a layer may add several numbers at once
        loss = loss + ops.sum(ops.cast(extra, loss.dtype))
    return loss


def _both_forms(y: Any, logits: Any, sparse: bool) -> tuple[Any, Any]:
    """Targets as class ids, (batch, ...), and in the form the loss takes."""
    classes = logits.shape[-1]
    if len(y.shape) == len(logits.shape) and y.shape[-1] == classes and classes > 1:
        ids = ops.cast(ops.argmax(y, axis=-1), "int32")
        return ids, ids if sparse else y
    if len(y.shape) == len(logits.shape):
        y = ops.squeeze(y, axis=-1)
    ids = ops.cast(y, "int32")
    if sparse:
        return ids, ids
    return ids, ops.cast(ops.equal(ops.expand_dims(ids, -1), ops.arange(classes, dtype="int32")), logits.dtype)
