"""Metrics of a regression: how far predicted numbers are from the true ones, and R2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from multilearn.errors import ConfigurationError, DataError
from multilearn.events import Direction
from multilearn.metrics.items import Parametrized, unfit
from multilearn.metrics.mean import MeanOfSums, sums_by_item
from multilearn.outputs import RegressionOutput
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["R2", "MeanAbsoluteError", "MeanSquaredError", "Numbers", "RootMeanSquaredError", "numbers_of"]


@dataclass(frozen=True)
class Numbers:
    """Predictions and targets, (batch, ...), float32, and which of them count, bool; None if all do."""

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
    """With a last axis of length 1 taken away if there is one too many, or put there where one is missing."""
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

    better: ClassVar[Direction] = "lowest"
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


Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class R2:
    """1 - sum of (target - prediction)^2 / sum of (target - mean target)^2, as `sklearn.metrics.r2_score`.

    The last axis of (batch, ..., outputs) are the outputs: the value is the mean of the values of all of them.
    If all targets are equal it is 1 if all predictions are right, else 0. NaN for fewer than two items.
    Items of weight zero (padding) are not counted, all others alike. Needs a `RegressionOutput`.
    """

    name: ClassVar[str] = "R2"
    unit: ClassVar[str] = ""
    better: ClassVar[Direction] = "highest"
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        numbers = numbers_of(ops, output, self.name)
        measured = {"predictions": numbers.predictions, "targets": numbers.targets}
        return measured if numbers.counted is None else {**measured, "counted": numbers.counted}

    def merge(self, state: State | None, measured: Measured) -> State:
        """Chan, Golub and LeVeque's update of mean and sum of squared deviations, in float64, for each output.

        Means are kept as their distance from the first target: a large offset would cost them digits.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            if state is None:
                return _of_batch(measured)
            batch = _of_batch(measured, state)
            items = state["items"] + batch["items"]
            share = batch["items"] / np.maximum(items, 1)
            apart = batch["mean"] - state["mean"]
            return {
                "items": items,
                "first": batch["first"],
                "mean": state["mean"] + apart * share,
                "spread": state["spread"] + batch["spread"] + apart * apart * state["items"] * share,
                "missed": state["missed"] + batch["missed"],
            }

    def entry(self, state: State) -> Entry:
        spread, missed = state["spread"], state["missed"]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            values = np.where(spread == 0, np.where(missed == 0, 1.0, 0.0), 1 - missed / spread)
        values = np.where(np.isnan(spread + missed) | (state["items"] < 2), np.nan, values)
        return Entry(float(np.mean(values)) if values.size else float("nan"))


def _of_batch(measured: Measured, state: State | None = None) -> State:
    """For each output how many items there are, the mean of the targets, and the sums of squares, (outputs,).

    Means are distances from the `first` target of `state`; of this batch if nothing was counted before.
    """
    targets = np.asarray(measured["targets"], np.float64)
    outputs = targets.shape[-1] if targets.ndim > 1 else 1
    targets = targets.reshape(-1, outputs)
    missed = np.asarray(measured["predictions"], np.float64).reshape(-1, outputs) - targets
    counted = np.asarray(measured.get("counted", np.ones_like(targets)), np.bool_).reshape(-1, outputs)
    items = counted.sum(axis=0, dtype=np.int64)
    first = targets[counted.argmax(axis=0), np.arange(outputs)] if len(targets) else np.zeros(outputs)
    if state is not None:
        _require_outputs(outputs, len(state["items"]))
        first = np.where(state["items"] > 0, state["first"], first)
    distances = targets - first
    mean = distances.sum(axis=0, where=counted) / np.maximum(items, 1)
    deviation = distances - mean
    return {
        "items": items,
        "first": first,
        "mean": mean,
        "spread": (deviation * deviation).sum(axis=0, where=counted),
        "missed": (missed * missed).sum(axis=0, where=counted),
    }


def _require_outputs(outputs: int, before: int) -> None:
    if outputs != before:
        raise DataError(
            "R2 needs the same outputs in every batch.",
            received=f"{outputs} outputs after {before}",
            remedy="Give sequences of different lengths a last axis: (batch, time, 1).",
        )
