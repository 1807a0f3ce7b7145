"""One metric over the epoch that goes on: batch by batch, with the value of the batch and that of the epoch so far."""

from __future__ import annotations

from multilearn.events import Reading
from multilearn.protocols import AnyMetric, Entry, Measured, State, entry_of

__all__ = ["Folding"]


class Folding:
    """A metric and its `state`: None before the first batch that counts."""

    def __init__(self, metric: AnyMetric, state: State | None = None) -> None:
        self._metric = metric
        self._costly = getattr(metric, "costly", False)
        self.state = state

    def add(self, measured: Measured, counted: bool = True) -> Reading:
        """One more batch; one that is not `counted` is measured, and is no part of the epoch."""
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
