"""Tasks with one output and targets for it: a class for each item or position of a sequence, labels, numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops

from multilearn.arguments import optional_whole
from multilearn.errors import ConfigurationError, DataError
from multilearn.outputs import ClassificationOutput, MultiLabelOutput, RegressionOutput
from multilearn.protocols import Output
from multilearn_keras.keras_internals import get_keras_mask
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

__all__ = ["Classification", "LanguageModel", "MultiLabelClassification", "Regression", "SequenceClassification"]


class _Labelled(Supervised, ABC):
    """What these tasks share: the loss of an output and targets, and the weights of its items."""

    loss: keras.losses.Loss

    def step(self, batch: Any, training: bool) -> Any:
        x, y, weight = self._unpacked(batch)
        outputs, targets, items, mask = self._compared(self.model(x, training=training), y)
        weight = spread(weight, items, mask)
        loss = with_layer_losses(self.loss(targets, outputs, sample_weight=own(weight)), self.model)
        count, weights = divisor(self.loss.reduction, items, mask, weight), item_weights(items, mask, weight)
        return self._output(loss, count, outputs, items, targets, weights)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        x, y, weight = self._unpacked(batch)
        y = check_targets(y)
        shape = single(shape, self)
        check_items(x, y, weight)
        check_weights(weight, shape[:-1] if len(shape) > 1 else shape)
        self._check_targets(y, shape)

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
    Items that the model masks (`Embedding(mask_zero=True)`) are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a softmax or sigmoid while `from_logits` is true.
    """

    padding: int | None = None

    def __init__(self, model: keras.Model, loss: Any = None, from_logits: bool = True) -> None:
        super().__init__(model, None)
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
    Items that the model masks are counted neither in the loss nor in metrics.

    Raises `ConfigurationError` for a model that ends in a sigmoid or softmax while `from_logits` is true.
    """

    def __init__(self, model: keras.Model, loss: Any = None, from_logits: bool = True) -> None:
        super().__init__(model, None)
        self.from_logits = from_logits
        self.loss = agreeing(loss, keras.losses.BinaryCrossentropy, model, from_logits)

    def _compared(self, outputs: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        targets = ops.cast(ops.reshape(y, ops.shape(outputs)), "int32")
        return outputs, targets, outputs[..., 0], get_keras_mask(outputs)

    def _output(self, loss: Any, count: Any, outputs: Any, items: Any, targets: Any, weights: Any) -> Output:
        return MultiLabelOutput(loss, count, outputs, targets, weights, self.from_logits)

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


class SequenceClassification(Classification):
    """One class out of several for each position (token) of a sequence.

    `model`: outputs (batch, time, classes); targets: class ids (batch, time) or (batch, time, 1).
    Padding is what the model masks (`Embedding(mask_zero=True)`), and what has the target `padding`, such as -1 or 0:
    it is counted neither in the loss, a mean over the positions that are left, nor in metrics.
    Sample weights, (batch, time) or (batch,), multiply the loss and leave its divisor as it is, as in Keras; for one
    by which weights of zero are left out too, give a loss with `reduction="mean_with_sample_weight"`.
    `loss`, `from_logits`: as for `Classification`.
    """

    def __init__(
        self, model: keras.Model, loss: Any = None, from_logits: bool = True, *, padding: int | None = None
    ) -> None:
        super().__init__(model, loss, from_logits)
        self.padding = optional_whole("padding, the class id of the targets that are not counted,", padding)

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        if len(single(shape, self)) == 2:
            raise ConfigurationError(
                f"A {type(self).__name__} needs a model that outputs classes for each position, "
                "(batch, time, classes).",
                received=f"an output {('batch', *shape[1:])}",
                remedy="For one class for each whole sequence, use Classification.",
            )
        super().check(batch, shape)


class LanguageModel(SequenceClassification):
    """The next token, for each token of a text.

    `model`: outputs (batch, time, vocabulary) for token ids (batch, time), and must not look ahead (give attention
    `use_causal_mask=True`): that cannot be seen from outside.
    Batches: token ids (batch, time) alone, of which the model gets all but the last and is to predict all but the
    first; or (x, y) with the targets in y, (batch, time). `padding`: the id that fills up short texts.
    The loss is a mean over the tokens that are predicted and not padding; its count is how many these are.
    `loss`, `from_logits`, sample weights: as for `SequenceClassification`; weights (batch, time) of token ids alone
    are those of the tokens as targets.
    """

    def inputs(self, batch: Any) -> Any:
        """What of a batch goes into the model: token ids without the last, or x as it is."""
        return self._unpacked(batch)[0]

    def check(self, batch: Any, shape: Any) -> None:
        """Look at a batch on the host, given the shape of the model's output. Raises `DataError`."""
        ids, targets, _ = unpack(batch)
        if targets is None:
            _check_text(ids)
        super().check(batch, shape)
        vocabulary = single(shape, self)[-1]
        if targets is None and vocabulary is not None:
            embedded = {self.padding} if self.padding is not None and self.padding >= 0 else set()
            check_ids(np.asarray(ids), vocabulary, (None, None, vocabulary), embedded)

    def _unpacked(self, batch: Any) -> tuple[Any, Any, Any]:
        ids, targets, weight = unpack(batch)
        if targets is not None or len(getattr(ids, "shape", ())) != 2:
            return ids, targets, weight
        if weight is not None and len(weight.shape) > 1 and weight.shape[1] == ids.shape[1]:
            weight = weight[:, 1:]
        return ids[:, :-1], ids[:, 1:], weight


def _check_text(ids: Any) -> None:
    if isinstance(ids, (dict, list, tuple)) or ids is None or np.ndim(ids) != 2 or np.shape(ids)[1] < 2:
        what = type(ids).__name__ if isinstance(ids, (dict, list, tuple)) else f"shape {np.shape(ids)}"
        raise DataError(
            "A batch of a language model is token ids (batch, time), with a time of at least 2, or (x, y).",
            received=what,
            remedy="Cut the text into rows of one length, filled up with the padding id; give other inputs as (x, y).",
        )
