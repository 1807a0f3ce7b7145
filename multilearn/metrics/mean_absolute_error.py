"""Mean absolute error: how far predictions are from the truth on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.residuals import added_up, mean_of, measured_distances, numbers_of
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["MeanAbsoluteError"]


@dataclass(frozen=True)
class MeanAbsoluteError:
    """sum of |prediction - target| / how many numbers there are, in the unit of the targets.

    All numbers of an item count alike, as do all items, whatever their weight; those of weight zero (padding) are in
    neither. Needs a `RegressionOutput`. Distances are float32, their sum over items is float64. NaN when nothing was
    counted.
    """

    name: ClassVar[str] = "MeanAbsoluteError"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return measured_distances(ops, numbers_of(ops, output, self.name), squared=False)

    def merge(self, state: State | None, measured: Measured) -> State:
        return added_up(state, measured)

    def entry(self, state: State) -> Entry:
        return mean_of(state)
