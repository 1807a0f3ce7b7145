"""Shares of what counts: how much of it is correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from multilearn.protocols import Entry, Measured, State

if TYPE_CHECKING:
    from multilearn.protocols import ArrayOps, Tensor

__all__ = ["counted_up", "measured_share", "share_of"]


def measured_share(ops: ArrayOps, correct: Tensor, counted: Tensor | None) -> Mapping[str, Tensor]:
    """How many are correct, and how many count; None: all do."""
    if counted is None:
        return {"correct": ops.sum(correct), "count": ops.size(correct)}
    return {"correct": ops.sum(ops.both(correct, counted)), "count": ops.sum(counted)}


def counted_up(state: State | None, measured: Measured) -> State:
    """The sums over all batches, as Python's integers."""
    correct, count = int(measured["correct"]), int(measured["count"])
    if state is None:
        return {"correct": correct, "count": count}
    return {"correct": state["correct"] + correct, "count": state["count"] + count}


def share_of(state: State) -> Entry:
    """correct / count; NaN where nothing counts."""
    correct, count = state["correct"], state["count"]
    return Entry(correct / count if count else float("nan"), count)
