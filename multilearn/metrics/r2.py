"""R2, the coefficient of determination: how much of the targets' variance is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from multilearn.errors import DataError
from multilearn.metrics.regression import numbers_of
from multilearn.protocols import ArrayOps, Entry, Measured, Output, State, Tensor

__all__ = ["R2"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class R2:
    """1 - sum of (target - prediction)^2 / sum of (target - mean target)^2, as `sklearn.metrics.r2_score`.

    The last axis of (batch, ..., outputs) are the outputs: the value is the mean of the values of all of them.
    Where all targets are equal it is 1 if all predictions are right, else 0. NaN for fewer than two items.
    Items of weight zero (padding) are not counted, all others alike. Needs a `RegressionOutput`.
    """

    name: ClassVar[str] = "R2"
    unit: ClassVar[str] = ""
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

    Means are distances from the `first` target of `state`; of this batch where nothing was counted before.
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
