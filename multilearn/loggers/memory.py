"""Metrics in memory: for notebooks and tests."""

from __future__ import annotations

from multilearn.events import Evaluating, Event, Split, SplitEnded, Started, Stepped

__all__ = ["MemoryMetricLogger"]

Value = float | str


class MemoryMetricLogger:
    """Keeps what a file logger would write.

    `epochs[split][metric][epoch]` is the exact value of a finished epoch, `batches[split][metric][epoch]` the list of
    its batch values. An evaluation is epoch 1 of the split `test`; only the latest is kept. A run that
    begins, or goes on from a checkpoint, drops what is later than where it starts.
    """

    def __init__(self) -> None:
        self.epochs: dict[Split, dict[str, dict[int, Value]]] = {}
        self.batches: dict[Split, dict[str, dict[int, list[Value]]]] = {}

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
