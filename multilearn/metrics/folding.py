"""A metric over the epoch that is under way: batch after batch is merged into its state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from multilearn.errors import RecordError
from multilearn.events import Reading
from multilearn.protocols import UNAVAILABLE, AnyMetric, Entry, Measured, State, UpdateMetric, entry_of, merge_of

__all__ = ["Folding", "UpdateFolding", "folding"]


class Folding:
    """A metric over the epoch that is under way, and its `state`: None before the first batch that counts."""

    def __init__(self, metric: AnyMetric, restored: State | None = None) -> None:
        self._metric = metric
        self._costly = getattr(metric, "costly", False)
        self._untried = restored is not None
        self.state = restored
        self.has_passed = False
        if restored is not None:
            with _resuming(metric):
                entry_of(metric, restored)

    def add(self, parts: Sequence[Measured], counted: bool = True) -> Reading:
        """One more batch, measured in parts; one that is not `counted` is measured, and is no part of the epoch."""
        metric = self._metric
        of_batch = entry_of(metric, _merged(metric, None, parts))
        if counted and self._untried:
            # the first batch shows whether a state from a checkpoint can be resumed
            with _resuming(metric):
                self.state = _merged(metric, self.state, parts)
                entry_of(metric, self.state)
            self._untried = False
        elif counted:
            self.state = _merged(metric, self.state, parts)
        return Reading(of_batch.value, of_batch.count, self._running(of_batch))

    def passed(self) -> Reading:
        """A batch in which there was nothing to measure: of a turn that was not taken."""
        self.has_passed = True
        running = UNAVAILABLE if self.state is None or self._costly else entry_of(self._metric, self.state).value
        return Reading(UNAVAILABLE, None, running)

    def _running(self, of_batch: Entry) -> float | str:
        """The value over the epoch so far: the batch's before anything counts, none where it would be costly."""
        if self._costly:
            return ""
        return of_batch.value if self.state is None else entry_of(self._metric, self.state).value


class UpdateFolding(Folding):
    """A metric of updates. Of the batches of an update it has counted the last one, and not those before."""

    def __init__(self, metric: AnyMetric, restored: State | None = None) -> None:
        super().__init__(metric, restored)
        self._update: int | None = None
        self._before: State | None = None

    def add_to(self, update: int, parts: Sequence[Measured], counted: bool) -> Reading:
        """One more batch of the update of this number."""
        if counted and update == self._update:
            self.state = self._before
        elif counted:
            self._update, self._before = update, self.state
        return self.add(parts, counted)


def folding(metric: AnyMetric, restored: State | None = None) -> Folding:
    """What folds the batches of an epoch: `restored` is the state of those that are done."""
    return (UpdateFolding if isinstance(metric, UpdateMetric) else Folding)(metric, restored)


def _merged(metric: AnyMetric, state: State | None, parts: Sequence[Measured]) -> State:
    first, *others = parts
    merged = merge_of(metric, state, first)
    for part in others:
        merged = merge_of(metric, merged, part)
    return merged


@contextmanager
def _resuming(metric: AnyMetric) -> Iterator[None]:
    """Whatever a metric raises over a state that it has not made is the fault of the record."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        raise RecordError.unusable(
            f"The metric {metric.name} must be able to resume from its state.",
            received=f"a checkpoint from which it cannot ({type(error).__name__}: {str(error)[:200]})",
        ) from error
