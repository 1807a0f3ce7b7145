"""Mean squared error, and its root."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.residuals import added_up, mean_of, measured_distances, numbers_of
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["MeanSquaredError", "RootMeanSquaredError"]


@dataclass(frozen=True)
class MeanSquaredError:
    """sum of (prediction - target)^2 / how many numbers there are, in the squared unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Squares are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    name: ClassVar[str] = "MeanSquaredError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_distances(ops, numbers_of(ops, output, self.name), squared=True)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added_up(state, measured)

    def entry(self, state: State) -> Entry:
        return mean_of(state)


@dataclass(frozen=True)
class RootMeanSquaredError:
    """The square root of the `MeanSquaredError` over the whole epoch, in the unit of the targets.

    Of several outputs it is one root, of the mean over all of their numbers; it is no mean of the batches' roots.
    """

    name: ClassVar[str] = "RootMeanSquaredError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_distances(ops, numbers_of(ops, output, self.name), squared=True)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added_up(state, measured)

    def entry(self, state: State) -> Entry:
        return Entry(math.sqrt(float(mean_of(state).value)))
