"""Ragged batches on JAX, filled up so that the program of the full ones takes them, where nothing can tell.

JAX compiles a program for every batch size. A batch that is smaller than the first one of its split is filled up with
copies of its last item, which weigh nothing: exact up to the rounding of sums, where every layer treats each item by
itself, the loss is a mean over items, and the metrics leave out items of weight zero. All of that is known of the
classes named here, and of no others; in all other cases a ragged batch is compiled as it is. In training it holds of
fewer: batch normalisation mixes items, and what layers draw depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, losses

from multilearn import metrics as ours
from multilearn.data import flat, mapped
from multilearn.metrics import Metric
from multilearn.protocols import Batch
from multilearn_keras.keras_internals import Functional
from multilearn_keras.metrics.inputs import is_of_keras
from multilearn_keras.tasks import Classification, MultiLabelClassification, Regression
from multilearn_keras.tasks.losses import ignored_by

__all__ = ["Filled", "Filler", "filled", "filler", "items_of", "treats_items_alone"]

_ITEM_BY_ITEM = {
    *(layers.InputLayer, layers.Dense, layers.Embedding, layers.Flatten, layers.Reshape, layers.Permute),
    *(layers.RepeatVector, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax),
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv2D, layers.SeparableConv2D),
    *(layers.MaxPooling1D, layers.MaxPooling2D, layers.AveragePooling1D, layers.AveragePooling2D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling1D),
    *(layers.GlobalMaxPooling2D, layers.ZeroPadding2D, layers.UpSampling2D, layers.Rescaling),
    *(layers.LayerNormalization, layers.GroupNormalization, layers.MultiHeadAttention),
    *(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.Bidirectional),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Concatenate),
}
_IN_EVALUATION = {layers.BatchNormalization, layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D}
_LOSSES = (
    *(losses.SparseCategoricalCrossentropy, losses.CategoricalCrossentropy, losses.BinaryCrossentropy),
    *(losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.LogCosh),
)
_METRICS = (ours.Loss, ours.Accuracy, ours.TopKAccuracy, ours.MeanAbsoluteError, ours.MeanSquaredError)
_DRAWING = ("dropout", "recurrent_dropout", "_dropout")


class Filled(NamedTuple):
    """A batch with the weights of its items: 1, or 0 for those that fill it up."""

    x: Any
    y: Any
    weight: Any


@dataclass(frozen=True)
class Filler:
    """Fills batches up to `items`; `task` takes them, and makes of them what the original makes of the items."""

    task: Any
    items: int

    def __call__(self, batch: Batch) -> Batch:
        """The batch as `Filled`, or as it is where it is no (x, y) of at most so many items."""
        if not (isinstance(batch, tuple) and len(batch) == 2):
            return batch
        if all(isinstance(part, np.ndarray) and part.shape[:1] == (self.items,) for part in batch):
            # nearly every batch
            return Filled(*batch, self._ones)
        n = items_of(batch)
        if n is None or not 0 < n <= self.items:
            return batch
        weight = self._ones.copy()
        weight[n:] = 0
        x, y = batch if n == self.items else filled(batch, self.items)
        return Filled(x, y, weight)

    @cached_property
    def _ones(self) -> Any:
        return np.ones(self.items, np.float32)


def filler(task: Any, example: Batch, metrics: Sequence[Metric], shape: Any, training: bool) -> Filler | None:
    """What fills up batches that are smaller than the example; None where it might be noticed.

    `shape`: that of the model's output.
    """
    if type(task) not in (Classification, MultiLabelClassification, Regression):
        return None
    alone = treats_items_alone(task.model, training)
    a_row_each = isinstance(shape, tuple) and len(shape) == 2 and not isinstance(shape[1], (tuple, list))
    averaged = type(task.loss) in _LOSSES and task.loss.reduction == "sum_over_batch_size"
    if not (alone and a_row_each and averaged and ignored_by(task.loss) is None):
        return None
    if any(type(metric) not in _METRICS for metric in metrics):
        return None
    items = items_of(example)
    if items is None or not (isinstance(example, tuple) and len(example) == 2):
        return None
    # over the items that weigh 1: as many as there were
    loss = _twin(task.loss, reduction="mean_with_sample_weight")
    return Filler(_twin(task, loss=loss), items)


def _twin(original: Any, **changed: Any) -> Any:
    """A shallow copy. `copy.copy` of a Keras object writes it to a file and reads it again, which takes seconds."""
    twin = object.__new__(type(original))
    vars(twin).update(vars(original) | changed)
    return twin


def items_of(nested: Any) -> int | None:
    """How many items there are in arrays of the host; None where they disagree, or are a framework's tensors."""
    found = flat(nested)
    counts = {leaf.shape[:1] for leaf in found if isinstance(leaf, np.ndarray)}
    if len(counts) != 1 or not all(isinstance(leaf, np.ndarray) for leaf in found):
        return None
    (shape,) = counts
    return int(shape[0]) if shape else None


def filled(nested: Any, items: int) -> Any:
    """With the last item of every array repeated until there are so many."""
    return mapped(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], items - len(leaf), axis=0)]), nested)


def treats_items_alone(model: Any, training: bool) -> bool:
    """Whether what it makes of an item is known not to depend on the others, nor on how many there are."""
    if type(model) not in (Functional, keras.Sequential, keras.Model) or not model.built:
        return False
    graph = model._functional if isinstance(model, keras.Sequential) else model
    if graph is None:
        return False
    operations = graph.operations
    return all(_alone(operation, training) for operation in operations)


def _alone(layer: Any, training: bool) -> bool:
    if isinstance(layer, keras.Model):
        return treats_items_alone(layer, training)
    known = type(layer) in _ITEM_BY_ITEM or (not training and type(layer) in _IN_EVALUATION)
    masks = getattr(layer, "mask_zero", False) or getattr(layer, "activity_regularizer", None) is not None
    if not known or masks or getattr(layer, "stateful", False) or not _along_items(layer):
        return False
    if training and any(getattr(layer, name, 0) for name in _DRAWING):
        return False
    functions = (getattr(layer, name, None) for name in ("activation", "recurrent_activation"))
    if not all(function is None or is_of_keras(function) for function in functions):
        return False
    inner = (getattr(layer, "forward_layer", None), getattr(layer, "backward_layer", None))
    return all(_alone(each, training) for each in inner if each is not None)


def _along_items(layer: Any) -> bool:
    """Whether an axis that the layer joins, or normalises over, is not that of the items."""
    axes = getattr(layer, "axis", -1)
    return all(axis != 0 for axis in (axes if isinstance(axes, (list, tuple)) else [axes]))
