"""Metrics of a regression: how far predicted numbers are from the true ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multilearn.errors import ConfigurationError
from multilearn.metrics.items import Parametrized, unfit
from multilearn.metrics.mean import MeanOfSums, sums_by_item
from multilearn.outputs import RegressionOutput
from multilearn.protocols import ArrayOps, Entry, Output, State, Tensor

__all__ = [
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Numbers",
    "RootMeanSquaredError",
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
        raise unfit(metric, "a task that outputs numbers", output, "Use it with a Regression task.")
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
    weights = _in_rank(ops, ops.float32(output.weights), rank)
    while len(weights.shape) < rank:
        weights = ops.expand_dims(weights, -1)
    counted = ops.greater(weights, 0.0)
    # by the law of absorption that is `counted`, in the shape of the numbers
    return Numbers(predictions, targets, ops.both(counted, ops.either(counted, ops.equal(predictions, predictions))))


def _in_rank(ops: ArrayOps, x: Tensor, rank: int) -> Tensor:
    """With a last axis of length 1 taken away where there is one too many, or put there where one is missing."""
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return ops.take(x, 0)
    return ops.expand_dims(x, -1) if len(x.shape) == rank - 1 else x


def _fits(targets: Any, predictions: Any) -> bool:
    """Whether the shapes agree as far as they are known; nothing is stretched."""
    if len(targets.shape) != len(predictions.shape):
        return False
    return all(None in (a, b) or a == b for a, b in zip(targets.shape, predictions.shape, strict=True))


class _MeanDistance(Parametrized, MeanOfSums):
    """The mean of distances over all numbers of an epoch; `_squared`: of their squares."""

    _squared: ClassVar[bool]

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        numbers = numbers_of(ops, output, self.name)
        distances = ops.absolute(ops.subtract(numbers.predictions, numbers.targets))
        if self._squared:
            distances = ops.multiply(distances, distances)
        return sums_by_item(ops, distances, numbers.counted)


@dataclass(frozen=True)
class MeanAbsoluteError(_MeanDistance):
    """sum of |prediction - target| / how many numbers there are, in the unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Distances are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    _squared: ClassVar[bool] = False


@dataclass(frozen=True)
class MeanSquaredError(_MeanDistance):
    """sum of (prediction - target)^2 / how many numbers there are, in the squared unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Squares are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    _squared: ClassVar[bool] = True


@dataclass(frozen=True)
class RootMeanSquaredError(_MeanDistance):
    """The square root of the `MeanSquaredError` over the whole epoch, in the unit of the targets.

    Of several outputs it is one root, of the mean over all of their numbers; it is no mean of the batches' roots.
    """

    _squared: ClassVar[bool] = True

    def entry(self, state: State) -> Entry:
        return Entry(math.sqrt(float(super().entry(state).value)))
