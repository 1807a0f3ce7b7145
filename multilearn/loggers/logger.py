"""What a metric logger is: it is told what happened, and writes down the metrics of it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from multilearn.events import Event

__all__ = ["MetricLogger"]


@runtime_checkable
class MetricLogger(Protocol):
    """Writes readings down, wherever they are wanted. It sees every event of a run, `Started` first.

    What it raises stops the run.
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
