"""Accuracy: the share of items whose most probable class is the right one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multilearn.errors import ConfigurationError
from multilearn.metrics.metric import Entry, Measured, State
from multilearn.outputs import ClassificationOutput

if TYPE_CHECKING:
    from multilearn.outputs import Output
    from multilearn.protocols import ArrayOps, Tensor

__all__ = ["Accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """correct items / counted items, a fraction. Items of weight zero (padding) are in neither.

    Needs a `ClassificationOutput`; the first class wins ties. NaN when nothing was counted.
    """

    name: ClassVar[str] = "Accuracy"
    unit: ClassVar[str] = "share"
    numeric: ClassVar[bool] = True

    def measure(self, ops: ArrayOps, output: Output) -> Mapping[str, Tensor]:
        if not isinstance(output, ClassificationOutput):
            raise ConfigurationError(
                "The metric Accuracy needs a task that outputs classes.",
                received=type(output).__name__,
                remedy="Use it with a Classification task, or measure a regression by its Loss.",
            )
        correct = ops.equal(ops.argmax(output.logits), ops.int32(output.targets))
        if output.weights is None:
            return {"correct": ops.sum(correct), "count": ops.size(correct)}
        counted = ops.greater(ops.float32(output.weights), 0.0)
        return {"correct": ops.sum(ops.both(correct, counted)), "count": ops.sum(counted)}

    def merge(self, state: State | None, measured: Measured) -> State:
        correct, count = int(measured["correct"]), int(measured["count"])
        if state is None:
            return {"correct": correct, "count": count}
        return {"correct": state["correct"] + correct, "count": state["count"] + count}

    def entry(self, state: State) -> Entry:
        correct, count = state["correct"], state["count"]
        return Entry(correct / count if count else float("nan"), count)
