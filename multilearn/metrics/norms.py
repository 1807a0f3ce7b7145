"""Norms of what the optimizer works on: the gradient and the weights of every update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from multilearn.protocols import ArrayOps, Entry, Measured, State, Tensor, Update

__all__ = ["GradientNorm", "WeightNorm"]


@dataclass(frozen=True)
class GradientNorm:
    """The L2 norm of the gradient that the optimizer gets, over all trainable variables: sqrt(sum of g^2).

    Of the loss as the task has it (a scaled loss is unscaled), before clipping and weight decay, in training only. With
    gradient accumulation it is that of the window's mean gradient, up to each batch; with several devices, of their
    joint one. An epoch has the mean over its updates, without those whose gradient is not finite: a single one would
    hide all others, and its batch shows it.
    """

    name: ClassVar[str] = "GradientNorm"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure_update(self, ops: ArrayOps, update: Update) -> Mapping[str, Tensor]:
        return {"square": _square(ops, update.gradients)}

    def merge(self, state: State | None, measured: Measured) -> State:
        norm = math.sqrt(measured["square"])
        sums = dict(state or {"total": 0.0, "updates": 0, "other": math.nan})
        if math.isfinite(norm):
            sums["total"] += norm
            sums["updates"] += 1
        else:
            sums["other"] = norm
        return sums

    def entry(self, state: State) -> Entry:
        # no count: of a window not every batch is in the mean
        return Entry(state["total"] / state["updates"] if state["updates"] else state["other"])


@dataclass(frozen=True)
class WeightNorm:
    """The L2 norm of the weights, over all trainable variables: sqrt(sum of w^2), in training only.

    Before the update, so that they are the weights that `GradientNorm` is of; an epoch has that of its last update.
    """

    name: ClassVar[str] = "WeightNorm"
    unit: ClassVar[str] = ""
    numeric: ClassVar[bool] = True

    def measure_update(self, ops: ArrayOps, update: Update) -> Mapping[str, Tensor]:
        return {"square": _square(ops, update.weights)}

    def merge(self, state: State | None, measured: Measured) -> State:
        return {"norm": math.sqrt(measured["square"])}

    def entry(self, state: State) -> Entry:
        return Entry(state["norm"])


def _square(ops: ArrayOps, tensors: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements, 0-d, float32."""
    total = ops.float32(0.0)
    for tensor in map(ops.float32, tensors):
        total = ops.add(total, ops.sum(ops.multiply(tensor, tensor)))
    return total
