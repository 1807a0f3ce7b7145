"""Which metrics a schedule watches."""

from __future__ import annotations

from collections.abc import Iterator

from multilearn.history import Monitor
from multilearn.protocols import LRScheduler
from multilearn.schedulers.composition import Composition
from multilearn.schedulers.plateau import ReduceOnPlateau

__all__ = ["watched_by"]


def watched_by(schedule: LRScheduler) -> Iterator[Monitor]:
    """Every metric that a schedule watches, with its split and direction; one of one's own is not looked into.

    >>> from multilearn.schedulers import Warmup
    >>> [each.metric for each in watched_by(Warmup(ReduceOnPlateau(0.1, "Accuracy"), updates=10))]
    ['Accuracy']
    """
    if isinstance(schedule, ReduceOnPlateau):
        yield Monitor(schedule.metric, schedule.split, schedule.direction)
    elif isinstance(schedule, Composition):
        for each in schedule.parts:
            yield from watched_by(each)
