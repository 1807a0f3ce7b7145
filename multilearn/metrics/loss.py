"""Loss: the mean of what is minimised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.metrics.metric import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.outputs import Output
    from multilearn.protocols import ArrayOps, Tensor

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
        count = output.count if isinstance(output.count, (int, float)) else ops.float32(output.count)
        return {"loss": ops.float32(output.loss), "count": ops.float32(count)}

    def merge(self, state: State | None, measured: Measured) -> State:
        count = float(measured["count"])
        # a batch in which nothing is counted says nothing, whatever its loss of 0/0 came out as
        total = float(measured["loss"]) * count if count else 0.0
        if state is None:
            return {"total": total, "count": count}
        return {"total": state["total"] + total, "count": state["count"] + count}

    def entry(self, state: State) -> Entry:
        count = state["count"]
        value = state["total"] / count if count else float("nan")
        return Entry(value, int(count) if float(count).is_integer() else count)
