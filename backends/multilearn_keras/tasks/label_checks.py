"""What is wrong with a batch, found on the host, before a framework makes its own sense of it.

An id out of range is an error on torch, another one on TensorFlow, and silent nonsense on JAX.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from multilearn.data import leaves
from multilearn.errors import DataError
from multilearn.printable import plural

__all__ = [
    "check_ids",
    "check_items",
    "check_labels",
    "check_one_hot",
    "check_shape",
    "check_shares",
    "check_targets",
    "check_weights",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int | None, ...]


def check_targets(y: Any) -> Array:
    """The targets as one array."""
    if y is None or isinstance(y, (dict, list, tuple)):
        raise DataError(
            "This task needs batches (x, y) with y one array.",
            received="no targets" if y is None else f"targets in a {type(y).__name__}",
            remedy="Give the loader a tuple (x, y).",
        )
    array = np.asarray(y)
    if array.dtype.kind == "c":
        raise DataError(
            "Targets are real numbers.",
            received=f"targets of type {array.dtype}",
            remedy="Give real and imaginary parts as two columns: numpy.stack([y.real, y.imag], axis=-1).",
        )
    return array


def check_items(x: Any, y: Array | None, weight: Any) -> None:
    """Inputs, targets and weights must have the same number of items."""
    counts = {path: np.shape(leaf)[:1] for path, leaf in leaves(x, "x")}
    counts |= {"y": np.shape(y)[:1]} if y is not None else {}
    counts |= {"sample_weight": np.shape(weight)[:1]} if weight is not None else {}
    if len(set(counts.values())) > 1 or () in counts.values():
        raise DataError(
            "All arrays of a batch must have the same number of items.",
            received=", ".join(f"{path}: {count[0] if count else 'a scalar'}" for path, count in counts.items()),
            remedy="The first axis of every array is the batch.",
        )


def check_weights(weight: Any, items: Shape) -> None:
    """Sample weights: a number for each of the items, whose shape is (None, ...), or along their first axes."""
    if weight is None or isinstance(weight, (dict, list, tuple)):
        return
    shape = np.shape(weight)
    lengths = zip(shape[1:], items[1:], strict=False)
    extra = shape[len(items) :]
    if any(expected is not None and length not in (1, expected) for length, expected in lengths) or extra not in (
        (),
        (1,),
    ):
        raise DataError(
            f"Sample weights must have the shape {_batched(items)}, or that of its first axes, such as (batch).",
            received=f"shape {_batched((None, *shape[1:]))}",
            remedy="Give one weight for each item of which the loss has a value.",
        )


def check_labels(y: Array, shape: Shape) -> None:
    """Labels: 0 or 1, in the shape of the model's output, (batch, ..., labels), or without the axis of a single one."""
    if len(shape) < 2:
        raise DataError(
            "A model of labels must have an axis of labels, (batch, ..., labels).",
            received=f"an output of shape {_batched(shape)}",
            remedy="For a single label, end it in Dense(1).",
        )
    check_shape(y, shape, "The labels", "Give a 0 or 1 for each output of the model.")
    if not _is_number(y) or not np.all((y == 0) | (y == 1)):
        raise DataError(
            "Labels must be 0 or 1.",
            received=_values(y),
            remedy="For one class out of several use Classification; the loss can smooth labels by itself.",
        )


def check_shares(y: Array, shape: Shape) -> None:
    """Targets of a binary cross-entropy: from 0 to 1, in the shape of the output or without a last axis of 1."""
    check_shape(y, shape, "The targets", "Reshape the targets, or change the model's last layer.")
    if not _is_number(y) or not np.all((y >= 0) & (y <= 1)):
        raise DataError(
            "The targets of a binary cross-entropy must be from 0 to 1.",
            received=_values(y),
            remedy="Number the two classes 0 and 1.",
        )


def check_ids(y: Array, classes: int, shape: Shape, ignored: Collection[int] = ()) -> None:
    """Class ids: integers, (batch, ...) or (batch, ..., 1), from 0 to classes - 1, or those that are ignored."""
    rank = len(shape)
    if rank < 2:
        raise DataError(
            "A model of classes must have an axis of classes, (batch, ..., classes).",
            received=f"an output of shape {_batched(shape)}, and targets of shape {_batched((None, *y.shape[1:]))}",
            remedy="End it in Dense(classes); if inputs and targets are exchanged, give the loader (x, y).",
        )
    lengths = zip(y.shape[1:], shape[1:-1], strict=False)
    fits = y.ndim == rank - 1 or (y.ndim == rank and y.shape[-1] == 1)
    if not fits or any(expected not in (None, length) for length, expected in lengths):
        raise DataError(
            f"Targets for an output of shape {_batched(shape)} must be class ids of shape {_batched(shape[:-1])}, "
            f"or one-hot of shape {_batched(shape)}.",
            received=f"shape {_batched((None, *y.shape[1:]))}",
            remedy="Give one class id for each position of the output."
            if fits
            else "Reshape the labels, or give the model's last layer as many units as there are classes.",
        )
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and np.isfinite(y).all() and np.array_equal(y, np.floor(y)))
    if not whole:
        raise DataError(
            "Class ids must be whole numbers.",
            received=f"type {y.dtype}",
            remedy="Convert them with .astype('int32'); for numbers to predict, use Regression.",
        )
    if ignored:
        y = y[~np.isin(y, list(ignored))]
    if y.size and (y.min() < 0 or y.max() >= classes):
        wrong = y.max() if y.max() >= classes else y.min()
        raise DataError(
            f"Class ids must be from 0 to {classes - 1}: the model has {plural(classes, 'output')}.",
            received=f"the id {int(wrong)}",
            remedy="Number the classes from 0, or give the model's last layer more units."
            + (" With one unit two classes are a MultiLabelClassification." if classes == 1 else ""),
        )


def check_one_hot(y: Array, shares: bool) -> None:
    """One-hot, or, where the loss takes them, shares of the classes: not negative, with sum 1."""
    if y.size and (y.min() < 0 or not np.allclose(y.sum(axis=-1, dtype=np.float64), 1.0, atol=1e-3)):
        raise DataError(
            "One-hot targets must not be negative and must add up to 1 for each item.",
            received=f"values from {y.min()} to {y.max()}",
            remedy="Use class ids, or normalise the rows.",
        )
    if not shares and not np.all((y == 0) | (y == 1)):
        raise DataError(
            "A sparse loss takes one class for each item, and not shares of several.",
            received=f"values from {y.min()} to {y.max()}",
            remedy="Give the task loss=keras.losses.CategoricalCrossentropy(from_logits=True).",
        )


def check_shape(y: Array, shape: Shape, what: str, remedy: str) -> None:
    """Targets in the shape of the model's output, or without a last axis of length 1."""
    expected = shape[1:]
    fitting = [y.shape[1:], (*y.shape[1:], 1)]
    if not any(
        len(f) == len(expected) and all(e in (None, n) for n, e in zip(f, expected, strict=True)) for f in fitting
    ):
        raise DataError(
            f"{what} must have the shape of the model's output, {_batched(shape)}.",
            received=f"shape {_batched((None, *y.shape[1:]))}",
            remedy=remedy,
        )


def _batched(shape: Shape) -> str:
    return f"({', '.join(['batch', *('any' if length is None else str(length) for length in shape[1:])])})"


def _is_number(y: Array) -> bool:
    return y.dtype.kind in "biuf"


def _values(y: Array) -> str:
    return f"values from {y.min()} to {y.max()}" if _is_number(y) and y.size else f"type {y.dtype}"
