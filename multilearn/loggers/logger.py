"""What a metric logger is: it receives the events of a run, and records the metrics in them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from multilearn.events import Event

__all__ = ["MetricLogger"]


@runtime_checkable
class MetricLogger(Protocol):
    """Records readings, wherever they are wanted. It receives every event of a run, `Started` first.

    What it raises stops the run: `fit` raises it, and all listeners are closed. A logger of the user's is a class with
    these three methods; in a resumed run `Started` says from where, and what was before.

    >>> from multilearn.events import SplitEnded
    >>> class Table:
    ...     def log(self, event):
    ...         if isinstance(event, SplitEnded):
    ...             values = {name: reading.value for name, reading in event.readings.items()}
    ...             print(event.epoch, event.split, values)
    ...     def flush(self): ...
    ...     def close(self): ...
    >>> isinstance(Table(), MetricLogger)
    True

    It is given to `LearnerBuilder.metric_loggers(FileMetricLogger(), Table())`: all receive each event, in this order.
    """

    def log(self, event: Event) -> None:
        """Take one event. Called on the training thread, so it should not take long."""
        ...

    def flush(self) -> None:
        """Make durable what was logged so far."""
        ...

    def close(self) -> None:
        """End the run, however it ended; once or more often. The logger can be used again afterwards."""
        ...
