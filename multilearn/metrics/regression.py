"""Metrics of a regression: how far predicted numbers are from the true ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.outputs import RegressionOutput, SeveralOutputs
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = [
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Numbers",
    "RootMeanSquaredError",
    "added_up",
    "mean_of",
    "measured_distances",
    "numbers_of",
]


@dataclass(frozen=True)
class Numbers:
    """Predictions and targets, (batch, ...), float32, and which of them count, bool; None where all do."""

    predictions: Tensor
    targets: Tensor
    counted: Tensor | None


def numbers_of(ops: ArrayOps, output: Output, metric: str) -> Numbers:
    """The numbers of a `RegressionOutput`; those of items of weight zero do not count."""
    if not isinstance(output, RegressionOutput) or not hasattr(output.predictions, "shape"):
        raise ConfigurationError(
            f"The metric {metric} needs a task that outputs numbers.",
            received=type(output).__name__,
            remedy="Measure one of the outputs: OfOutput(name, metric)."
            if isinstance(output, SeveralOutputs)
            else "Use it with a Regression task.",
        )
    predictions = ops.float32(output.predictions)
    rank = len(predictions.shape)
    targets = _in_rank(ops, ops.float32(output.targets), rank)
    if rank == 0 or not _fits(targets, predictions):
        raise ConfigurationError(
            f"The metric {metric} needs targets of the shape of the predictions, (batch, ...).",
            received=f"predictions {tuple(output.predictions.shape)}, targets {tuple(output.targets.shape)}",
            remedy="Have the task's step reshape its targets.",
        )
    if output.weights is None:
        return Numbers(predictions, targets, None)
    weights = ops.float32(output.weights)
    weights = _in_rank(ops, weights, rank)
    while len(weights.shape) < rank:
        weights = ops.expand_dims(weights, -1)
    counted = ops.greater(weights, 0.0)
    # by the law of absorption that is `counted`, in the shape of the numbers
    return Numbers(predictions, targets, ops.both(counted, ops.either(counted, ops.equal(predictions, predictions))))


def measured_distances(ops: ArrayOps, numbers: Numbers, squared: bool) -> Mapping[str, Tensor]:
    """The sum of absolute, or of squared, differences of each item, (batch,), and how many numbers were counted."""
    distances = ops.absolute(ops.subtract(numbers.predictions, numbers.targets))
    if squared:
        distances = ops.multiply(distances, distances)
    if numbers.counted is None:
        count = ops.size(distances)
    else:
        distances, count = ops.where(numbers.counted, distances, 0.0), ops.sum(numbers.counted)
    while len(distances.shape) > 1:
        distances = ops.sum(distances, axis=-1)
    return {"distances": distances, "count": count}


def added_up(state: State | None, measured: Measured) -> State:
    """The sum over all items, in float64, and the count."""
    total = float(np.sum(measured["distances"], dtype=np.float64))
    count = int(measured["count"])
    if state is None:
        return {"total": total, "count": count}
    return {"total": state["total"] + total, "count": state["count"] + count}


def mean_of(state: State) -> Entry:
    """total / count; NaN where nothing counts."""
    total, count = state["total"], state["count"]
    return Entry(total / count if count else float("nan"), count)


def _in_rank(ops: ArrayOps, x: Tensor, rank: int) -> Tensor:
    """With a last axis of length 1 taken away where there is one too many, or put there where one is missing."""
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return ops.take(x, 0)
    return ops.expand_dims(x, -1) if len(x.shape) == rank - 1 else x


def _fits(targets: Any, predictions: Any) -> bool:
    """Whether the shapes agree as far as they are known; nothing is stretched."""
    if len(targets.shape) != len(predictions.shape):
        return False
    known = [(a, b) for a, b in zip(targets.shape, predictions.shape, strict=True) if a is not None and b is not None]
    return all(a == b for a, b in known)


class _MeanDistance:
    """The mean of distances over all numbers of an epoch; `_squared`: of their squares."""

    name: ClassVar[str]
    _squared: ClassVar[bool]

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_distances(ops, numbers_of(ops, output, self.name), squared=self._squared)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added_up(state, measured)

    def entry(self, state: State) -> Entry:
        return mean_of(state)


@dataclass(frozen=True)
class MeanAbsoluteError(_MeanDistance):
    """sum of |prediction - target| / how many numbers there are, in the unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Distances are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    name: ClassVar[str] = "MeanAbsoluteError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True
    _squared: ClassVar[bool] = False


@dataclass(frozen=True)
class MeanSquaredError(_MeanDistance):
    """sum of (prediction - target)^2 / how many numbers there are, in the squared unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Squares are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    name: ClassVar[str] = "MeanSquaredError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True
    _squared: ClassVar[bool] = True


@dataclass(frozen=True)
class RootMeanSquaredError(_MeanDistance):
    """The square root of the `MeanSquaredError` over the whole epoch, in the unit of the targets.

    Of several outputs it is one root, of the mean over all of their numbers; it is no mean of the batches' roots.
    """

    name: ClassVar[str] = "RootMeanSquaredError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True
    _squared: ClassVar[bool] = True

    def entry(self, state: State) -> Entry:
        return Entry(math.sqrt(float(mean_of(state).value)))
