"""One metric over the epoch that goes on: batch by batch, with the value of the batch and that of the epoch so far."""

from __future__ import annotations

from typing import Any, Protocol

from multilearn.events import Reading
from multilearn.metrics.accuracy import Accuracy, HammingScore, TopKAccuracy
from multilearn.metrics.mean import Loss, Mean
from multilearn.metrics.of_output import OfOutput
from multilearn.protocols import AnyMetric, Entry, Measured, State, entry_of

__all__ = ["CountedShare", "Folding", "Merging", "WeighedMean", "folding"]

_NAN = float("nan")


class Folding(Protocol):
    """What `merge` and `entry` of a metric come to: the same values, and the same state, bit for bit."""

    @property
    def state(self) -> State | None:
        """As `merge` would have left it; None before the first batch that counts."""
        ...

    def add(self, measured: Measured, counted: bool = True) -> Reading:
        """One more batch; one that is not `counted` is measured, and is no part of the epoch."""
        ...


def folding(metric: AnyMetric, state: State | None = None) -> Folding:
    """From `state` on: a mean or a share of ours as plain sums, everything else by its own methods.

    Asked for four times in every batch, with an object for each answer, thirty metrics would take longer than the step
    of a small model.
    """
    if type(metric) is OfOutput:
        return folding(metric.metric, state)
    halves = type(metric).merge, type(metric).entry  # those of a subclass may be its own
    if halves in _MEANS and _holds(state, float, "total", "count"):
        return WeighedMean(_MEANS[halves], state)
    if halves in _SHARES and _holds(state, int, "correct", "count"):
        return CountedShare(state)
    return Merging(metric, state)


class Merging:
    """Any metric."""

    def __init__(self, metric: AnyMetric, state: State | None = None) -> None:
        self._metric = metric
        self._costly = getattr(metric, "costly", False)
        self.state = state

    def add(self, measured: Measured, counted: bool = True) -> Reading:
        metric = self._metric
        of_batch = entry_of(metric, metric.merge(None, measured))
        if counted:
            self.state = metric.merge(self.state, measured)
        return Reading(of_batch.value, of_batch.count, self.running(of_batch))

    def running(self, of_batch: Entry) -> float | str:
        """The value over the epoch so far: the batch's before anything counts, none where it would be costly."""
        if self._costly:
            return ""
        return of_batch.value if self.state is None else entry_of(self._metric, self.state).value


class WeighedMean:
    """`mean.weighed` and `mean.weighted_mean` of the number that is measured as `field`."""

    def __init__(self, field: str, state: State | None = None) -> None:
        self._field = field
        self._sums: tuple[float, float] | None = None if state is None else (state["total"], state["count"])

    @property
    def state(self) -> State | None:
        return None if self._sums is None else {"total": self._sums[0], "count": self._sums[1]}

    def add(self, measured: Measured, counted: bool = True) -> Reading:
        count = float(measured["count"])
        total = float(measured[self._field]) * count if count else 0.0
        value = total / count if count else _NAN
        if counted:
            # not added to zero at first: that would make -0.0 of a batch 0.0
            self._sums = (total, count) if self._sums is None else (self._sums[0] + total, self._sums[1] + count)
        running = value
        if self._sums is not None:
            running = self._sums[0] / self._sums[1] if self._sums[1] else _NAN
        return Reading(value, int(count) if count.is_integer() else count, running)


class CountedShare:
    """`shares.counted_up` and `shares.share_of`."""

    def __init__(self, state: State | None = None) -> None:
        self._sums: tuple[int, int] | None = None if state is None else (state["correct"], state["count"])

    @property
    def state(self) -> State | None:
        return None if self._sums is None else {"correct": self._sums[0], "count": self._sums[1]}

    def add(self, measured: Measured, counted: bool = True) -> Reading:
        correct, count = int(measured["correct"]), int(measured["count"])
        value = correct / count if count else _NAN
        if counted:
            self._sums = (correct, count) if self._sums is None else (self._sums[0] + correct, self._sums[1] + count)
        running = value
        if self._sums is not None:
            running = self._sums[0] / self._sums[1] if self._sums[1] else _NAN
        return Reading(value, count, running)


def _holds(state: State | None, kind: type, *names: str) -> bool:
    return state is None or (state.keys() == set(names) and all(type(value) is kind for value in state.values()))


_MEANS: dict[Any, str] = {(Loss.merge, Loss.entry): "loss", (Mean.merge, Mean.entry): "value"}
_SHARES = {(kind.merge, kind.entry) for kind in (Accuracy, TopKAccuracy, HammingScore)}
