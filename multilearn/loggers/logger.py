"""What a metric logger is: it receives the events of a run, and records the metrics in them. And one in memory."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from multilearn.events import Evaluating, Event, Split, SplitEnded, Started, Stepped

__all__ = ["MemoryMetricLogger", "MetricLogger", "log_every_run", "of_every_run"]


@runtime_checkable
class MetricLogger(Protocol):
    """Records readings, wherever they are wanted. It receives every event of a run, `Started` first.

    What it raises stops the run: `fit` raises it, and all listeners are closed. A logger of the user's is a class with
    these three methods; in a resumed run `Started` says from where, and what was before.

    `LearnerBuilder.metric_loggers` takes several: all receive each event, in this order. There is one of ten lines in
    docs/extending.md.
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


_of_every_run: list[MetricLogger] = []


def log_every_run(logger: MetricLogger) -> None:
    """Have a logger receive the events of all runs of this process that begin from now on, also on a rank that writes
    nothing: for what has started the process, whatever the script logs with."""
    _of_every_run.append(logger)


def of_every_run() -> tuple[MetricLogger, ...]:
    """The loggers that receive the events of all runs of this process."""
    return tuple(_of_every_run)


class MemoryMetricLogger:
    """Keeps what a file logger would write, for notebooks and tests.

    `epochs[split][metric][epoch]` is the exact value of a finished epoch, `batches[split][metric][epoch]` the list of
    its batch values. An evaluation is epoch 1 of the split `test`; only the latest is kept. A run that
    begins, or is resumed from a checkpoint, drops what is later than where it starts.
    """

    def __init__(self) -> None:
        self.epochs: dict[Split, dict[str, dict[int, float | str]]] = {}
        self.batches: dict[Split, dict[str, dict[int, list[float | str]]]] = {}

    def log(self, event: Event) -> None:
        match event:
            case Started():
                self._go_back(event)
            case Evaluating():
                self.epochs.pop(Split.TEST, None)
                self.batches.pop(Split.TEST, None)
            case Stepped(split=split, epoch=epoch):
                for name, reading in event.readings.items():
                    of_metric = self.batches.setdefault(split, {}).setdefault(name, {})
                    of_metric.setdefault(epoch, []).append(reading.value)
            case SplitEnded(split=split, epoch=epoch):
                for name, reading in event.readings.items():
                    self.epochs.setdefault(split, {}).setdefault(name, {})[epoch] = reading.value
            case _:
                pass

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do; what was kept stays readable."""

    def _go_back(self, started: Started) -> None:
        position, finished = started.position, started.position.finished_epochs
        for finals in self.epochs.values():
            for name, values in finals.items():
                finals[name] = {epoch: value for epoch, value in values.items() if epoch <= finished}
        for split, metrics in self.batches.items():
            begun = position.batch or 0 if split is Split.TRAIN else 0
            for name, lists in metrics.items():
                kept = {epoch: values for epoch, values in lists.items() if epoch <= finished}
                if begun and position.epoch in lists:
                    kept[position.epoch] = lists[position.epoch][:begun]
                metrics[name] = kept
