"""Tasks with one output and targets for it: a class for each item, labels, numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import keras
from keras import ops

from multilearn.errors import ConfigurationError
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, RegressionOutput
from multilearn.protocols import Output
from multilearn_keras.keras_internals import get_keras_mask
from multilearn_keras.tasks.class_weights import ClassWeights, weighed
from multilearn_keras.tasks.label_checks import (
    check_ids,
    check_items,
    check_labels,
    check_one_hot,
    check_shape,
    check_targets,
    check_weights,
)
from multilearn_keras.tasks.losses import (
    counted,
    divisor,
    ignored_by,
    item_weights,
    leaving_out,
    own,
    spread,
    takes_class_ids,
    understood,
)
from multilearn_keras.tasks.supervised import Supervised, agreeing, both_forms, single, unpack, with_layer_losses

__all__ = ["Classification", "MultiLabelClassification", "Regression"]


class _Labelled(Supervised, ABC):
    """What these tasks share: the loss of an output and targets, and the weights of its items."""

    loss: keras.losses.Loss
    class_weights: ClassWeights | None = None

    def step(self, batch: Any, training: bool) -> Any:
        x, y, weight = self._unpacked(batch)
        outputs, targets, items, mask = self._compared(self.model(x, training=training), y)
        weight = spread(weight, items, mask)
        # metrics, and all of validation, are without those of classes, as in Keras
        weights = item_weights(items, mask, weight)
        weight = weighed(weight, self.class_weights, self._classes(items, targets), training)
        loss = with_layer_losses(self.loss(targets, outputs, sample_weight=own(weight)), self.model)
        count = divisor(self.loss.reduction, items, mask, weight)
        return self._output(loss, count, outputs, items, targets, weights)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = self._unpacked(batch)
        y = check_targets(y)
        shape = single(shape, self)
        check_items(x, y, weight)
        check_weights(weight, shape[:-1] if len(shape) > 1 else shape)
        if self.class_weights is not None and len(shape) > 1 and shape[-1] is not None:
            self._check_classes(self.class_weights, shape[-1])
        self._check_targets(y, shape)

    def _classes(self, items: Any, targets: Any) -> Any:
        """The class of each item, for the weights of classes."""
        return items

    def _check_classes(self, weights: ClassWeights, units: int) -> None:
        weights.check(units)

    def _unpacked(self, batch: Any) -> tuple[Any, Any, Any]:
        return unpack(batch)

    @abstractmethod
    def _compared(self, outputs: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        """Outputs and targets as the loss takes them; a tensor with one element per value of the loss; the mask."""

    @abstractmethod
    def _output(self, loss: Any, count: Any, outputs: Any, items: Any, targets: Any, weights: Any) -> Output: ...

    @abstractmethod
    def _check_targets(self, y: Any, shape: tuple[int | None, ...]) -> None: ...


class Classification(_Labelled):
    """One class out of several for each item.

    `model`: outputs (batch, ..., classes), unnormalised, or probabilities with `from_logits=False`.
    Targets: class ids (batch, ...) or (batch, ..., 1), or one-hot (batch, ..., classes).
    Sample weights: one for each item, (batch, ...), or for each along the first axes, such as (batch,).
    `loss`: any Keras loss of classes, by default the (sparse) categorical cross-entropy.
    `class_weight`: by class id, `{0: 1.0, 2: 5.0}`, or a list of all: what the loss of an item of that class is
    multiplied by in training, as by Keras' `fit`; by its sample weight, too, if it has one. Validation and metrics are
    without it.
    Items that the model masks (`Embedding(mask_zero=True)`) are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a softmax or sigmoid while `from_logits` is true, and for
    weights that are none.
    """

    padding: int | None = None

    def __init__(
        self, model: keras.Model, loss: Any = None, from_logits: bool = True, *, class_weight: Any = None
    ) -> None:
        super().__init__(model, None)
        self.class_weights = None if class_weight is None else ClassWeights(class_weight)
        self.from_logits = from_logits
        self.loss = agreeing(loss, keras.losses.SparseCategoricalCrossentropy, model, from_logits)

    def _compared(self, outputs: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        ids, targets = both_forms(y, outputs, sparse=takes_class_ids(self.loss))
        if self.padding is not None:
            outputs, targets = leaving_out(self.padding, ids, outputs, targets)
        return outputs, targets, ids, counted(outputs, ids, self.loss)

    def _output(self, loss: Any, count: Any, outputs: Any, items: Any, targets: Any, weights: Any) -> Output:
        logits = ops.reshape(outputs, (*ops.shape(items), outputs.shape[-1]))
        return ClassificationOutput(loss, count, logits, items, weights, self.from_logits)

    def _check_targets(self, y: Any, shape: tuple[int | None, ...]) -> None:
        classes = shape[-1]
        if classes is None:
            return
        if y.ndim == len(shape) and y.shape[-1] == classes and classes > 1:
            check_one_hot(y, shares=not takes_class_ids(self.loss))
        else:
            left_out = {ignored_by(self.loss), self.padding} - {None}
            check_ids(y, classes, shape, {number for number in left_out if number is not None})


class MultiLabelClassification(_Labelled):
    """Labels that are each true or not, for each item; with one label, a binary classification.

    `model`: outputs (batch, ..., labels), unnormalised, or probabilities with `from_logits=False`.
    Targets: 0 or 1, (batch, ..., labels); for a model with one label also (batch, ...).
    Sample weights: one for each item, (batch, ...), or for each along the first axes, such as (batch,).
    `loss`: any Keras loss of labels, by default the binary cross-entropy, a mean over the labels of each item.
    `class_weight`: of a model with one label, `{0: 1.0, 1: 5.0}`, as for `Classification`.
    Items that the model masks are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a sigmoid or softmax while `from_logits` is true, and for
    weights that are none.
    """

    def __init__(
        self, model: keras.Model, loss: Any = None, from_logits: bool = True, *, class_weight: Any = None
    ) -> None:
        super().__init__(model, None)
        self.class_weights = None if class_weight is None else ClassWeights(class_weight)
        self.from_logits = from_logits
        self.loss = agreeing(loss, keras.losses.BinaryCrossentropy, model, from_logits)

    def _compared(self, outputs: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        targets = ops.cast(ops.reshape(y, ops.shape(outputs)), "int32")
        return outputs, targets, outputs[..., 0], get_keras_mask(outputs)

    def _output(self, loss: Any, count: Any, outputs: Any, items: Any, targets: Any, weights: Any) -> Output:
        return MultiLabelOutput(loss, count, outputs, targets, weights, self.from_logits)

    def _classes(self, items: Any, targets: Any) -> Any:
        return targets[..., 0]

    def _check_classes(self, weights: ClassWeights, units: int) -> None:
        if units != 1:
            raise ConfigurationError(
                "Labels that are each true or not have no class by which an item could be weighed.",
                received=f"class_weight, and a model with {units} labels",
                remedy="For one class out of several use Classification; or give sample weights, or a loss such as "
                "keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, alpha=0.8).",
            )
        weights.check(2)

    def _check_targets(self, y: Any, shape: tuple[int | None, ...]) -> None:
        check_labels(y, shape)


class Regression(_Labelled):
    """Numbers for each item.

    `model`: outputs (batch, ...); targets of the same shape, a trailing axis of length 1 may be missing.
    Sample weights: one for each item, (batch, ...) without the last axis, or along the first axes, such as (batch,).
    `loss`: any Keras loss of numbers, by default the mean squared error.
    Items that the model masks are counted neither in the loss nor in metrics.
    """

    def __init__(self, model: keras.Model, loss: Any = None) -> None:
        super().__init__(model, understood(loss or keras.losses.MeanSquaredError()))

    def _compared(self, outputs: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        targets = ops.reshape(y, ops.shape(outputs))
        # a Keras loss of numbers averages over the last axis first
        items = outputs[..., 0] if len(outputs.shape) > 1 else outputs
        return outputs, targets, items, get_keras_mask(outputs)

    def _output(self, loss: Any, count: Any, outputs: Any, items: Any, targets: Any, weights: Any) -> Output:
        return RegressionOutput(loss, count, outputs, targets, weights)

    def _check_targets(self, y: Any, shape: tuple[int | None, ...]) -> None:
        check_shape(y, shape, "The targets of a regression", "Reshape the targets, or change the model's last layer.")
