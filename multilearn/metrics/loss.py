"""Loss: the mean of what is minimised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.mean import weighed, weighted_mean
from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Output, Tensor

__all__ = ["Loss"]


@dataclass(frozen=True)
class Loss:
    """The loss, layer losses included, averaged over what it divides by: items, unmasked tokens, or weights.

    value = sum(loss_b * count_b) / sum(count_b) over the batches b; NaN when nothing was counted.
    """

    name: ClassVar[str] = "Loss"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        return {"loss": ops.float32(output.loss), "count": ops.float32(output.count)}

    def merge(self, state: State | None, measured: Measured) -> State:
        return weighed(state, measured["loss"], measured["count"])

    def entry(self, state: State) -> Entry:
        return weighted_mean(state)
