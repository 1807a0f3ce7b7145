"""The one place that knows metric values: it folds batches, and keeps the history of the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from multilearn.checkpoint.tensors import HostTensor
from multilearn.events import Reading, Split
from multilearn.history import History
from multilearn.metrics.metric import Metric, State
from multilearn.protocols import HostOutput, Record

__all__ = ["MetricStore"]


class MetricStore:
    """States of the epoch that is under way, and the exact values of those that are done."""

    def __init__(self, metrics: Mapping[Split, Sequence[Metric]]) -> None:
        self._metrics = metrics
        self._states: dict[Split, dict[str, State]] = {}
        self._history = History()

    @property
    def history(self) -> History:
        """The values of all numeric metrics after every finished split."""
        return self._history

    def begin(self, split: Split) -> None:
        """A new epoch of the split: nothing has been counted."""
        self._states[split] = {}

    def fold(self, split: Split, output: HostOutput) -> Mapping[str, Reading]:
        """Take in one batch: the value of the batch and that of the epoch so far, for every metric."""
        states, readings = self._states[split], {}
        for metric in self._metrics[split]:
            measured = output.measures[metric.name]
            of_batch = metric.entry(metric.merge(None, measured))
            states[metric.name] = metric.merge(states.get(metric.name), measured)
            running = metric.entry(states[metric.name]).value
            readings[metric.name] = Reading(of_batch.value, of_batch.count, running)
        return MappingProxyType(readings)

    def end(self, split: Split, epoch: int) -> Mapping[str, Reading]:
        """The exact values over the epoch, which go into the history. Empty if there was no batch."""
        readings, values = {}, {}
        for metric in self._metrics[split]:
            state = self._states[split].get(metric.name)
            if state is None:
                continue
            entry = metric.entry(state)
            readings[metric.name] = Reading(entry.value, entry.count, entry.value)
            if not isinstance(entry.value, str):
                values[metric.name] = entry.value
        self._history = self._history.with_epoch(split, epoch, values)
        return MappingProxyType(readings)

    def state(self) -> Record:
        """All of it as a record."""
        return {
            "history": self._history.to_state(),
            "states": {
                str(split): {name: _to_record(state) for name, state in states.items()}
                for split, states in self._states.items()
            },
        }

    def restore(self, record: Record) -> None:
        """Go on from what `state` returned."""
        self._history = History.from_state(record["history"])
        self._states = {
            Split(split): {name: _from_record(state) for name, state in states.items()}
            for split, states in record["states"].items()
        }


def _to_record(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _to_record(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [_to_record(value) for value in state]
    if isinstance(state, np.generic):
        return state.item()
    return HostTensor.of(state) if isinstance(state, np.ndarray) else state


def _from_record(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _from_record(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_from_record(value) for value in state]
    return state.numpy() if isinstance(state, HostTensor) else state
