"""The one place that knows metric values: it folds batches, and keeps the history of the epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from multilearn.checkpoint.tensors import HostTensor
from multilearn.errors import RecordError
from multilearn.events import Reading, Split
from multilearn.history import History
from multilearn.metrics.metric import HostMetric, Measured, Metric, Moment, State
from multilearn.protocols import HostOutput, Record

__all__ = ["MetricStore"]

_log = logging.getLogger("multilearn")

# A map in a record that has this one key, which no metric will choose, is a tuple, or a number of numpy's.
_TUPLE, _SCALAR = "(tuple)", "(scalar)"


class MetricStore:
    """States of the epoch that is under way, and the exact values of those that are done."""

    def __init__(self, metrics: Mapping[Split, Sequence[Metric | HostMetric]]) -> None:
        self._metrics = metrics
        self._states: dict[Split, dict[str, State]] = {}
        self._history = History()
        self._texts: dict[Split, dict[str, str]] = {}
        self._warned: set[str] = set()
        self._restored: set[tuple[Split, str]] = set()
        self._observers: dict[Split, dict[str, Callable[[Moment], Measured]]] = {}

    @property
    def history(self) -> History:
        """The values of all numeric metrics after every finished split."""
        return self._history

    @property
    def texts(self) -> Mapping[Split, Mapping[str, str]]:
        """The values of the text metrics after the last finished epoch of each split."""
        return self._texts

    def begin(self, split: Split) -> None:
        """A new epoch of the split: nothing has been counted."""
        self._states[split] = {}
        self._restored = {(of, name) for of, name in self._restored if of != split}
        self._observing(split)

    def fold(self, split: Split, output: HostOutput, moment: Moment, counted: bool = True) -> Mapping[str, Reading]:
        """Take in one batch: the value of the batch and that of the epoch so far, for every metric.

        A batch that is not `counted` is measured, and is no part of the epoch, except for the machine it ran on.
        """
        states, readings, observers = self._states[split], {}, self._observing(split)
        for metric in self._metrics[split]:
            of_host = metric.name in observers
            measured = observers[metric.name](moment) if of_host else output.measures[metric.name]
            of_batch = metric.entry(metric.merge(None, measured))
            if counted or of_host:
                state = states.get(metric.name)
                first = (split, metric.name) in self._restored
                merged = self._resumed(split, metric, state, measured) if first else metric.merge(state, measured)
                states[metric.name] = merged
            readings[metric.name] = Reading(of_batch.value, of_batch.count, _running(metric, states, of_batch.value))
        return MappingProxyType(readings)

    def end(self, split: Split, epoch: int) -> Mapping[str, Reading]:
        """The exact values over the epoch, which go into the history. Empty if there was no batch."""
        readings, values, texts = {}, {}, {}
        for metric in self._metrics[split]:
            state = self._states[split].get(metric.name)
            if state is None:
                continue
            entry = metric.entry(state)
            readings[metric.name] = Reading(entry.value, entry.count, entry.value)
            if not isinstance(entry.value, str):
                values[metric.name] = entry.value
                self._warn_once(metric, state, entry.value, f"{split}, epoch {epoch}")
            elif not metric.numeric:
                texts[metric.name] = entry.value
        self._texts[split] = texts
        self._history = self._history.with_epoch(split, epoch, values)
        return MappingProxyType(readings)

    def state(self) -> Record:
        """All of it as a record."""
        return {
            "history": self._history.to_state(),
            "texts": {str(split): dict(texts) for split, texts in self._texts.items()},
            "states": {
                str(split): {name: _to_record(state) for name, state in states.items()}
                for split, states in self._states.items()
            },
        }

    def restore(self, record: Record) -> None:
        """Go on from what `state` returned."""
        self._history = History.from_state(record["history"])
        self._texts = {Split(split): dict(texts) for split, texts in record.get("texts", {}).items()}
        self._states = {
            Split(split): {name: _from_record(state) for name, state in states.items()}
            for split, states in record["states"].items()
        }
        self._restored = {(split, name) for split, states in self._states.items() for name in states}
        for split, states in self._states.items():
            for metric in self._metrics.get(split, ()):
                if metric.name in states:
                    with _going_on(metric):
                        _require_value(metric, states[metric.name])

    def _resumed(self, split: Split, metric: Metric | HostMetric, state: State | None, measured: Measured) -> State:
        """The first batch after a restart shows whether what a checkpoint says can be gone on from."""
        self._restored.discard((split, metric.name))
        with _going_on(metric):
            merged = metric.merge(state, measured)
            _require_value(metric, merged)
        return merged

    def _observing(self, split: Split) -> Mapping[str, Callable[[Moment], Measured]]:
        """What looks at the machine while the split goes on: made once in a run, as it begins or goes on."""
        if split not in self._observers:
            of_host = (metric for metric in self._metrics[split] if isinstance(metric, HostMetric))
            self._observers[split] = {metric.name: metric.observer() for metric in of_host}
        return self._observers[split]

    def _warn_once(self, metric: Metric | HostMetric, state: State, value: float, where: str) -> None:
        """Say why an epoch value is not a number, if the metric knows; never of a batch, and once for each metric."""
        caution = getattr(metric, "caution", None)
        if caution is not None and math.isnan(value) and metric.name not in self._warned:
            self._warned.add(metric.name)
            if reason := caution(state):
                _log.warning("%s (%s)", reason, where)


@contextmanager
def _going_on(metric: Metric | HostMetric) -> Iterator[None]:
    """Whatever a metric raises over a state that it has not made is the fault of the record."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        raise RecordError(
            f"The metric {metric.name} must be able to go on from what it was.",
            received=f"a checkpoint from which it cannot ({type(error).__name__}: {str(error)[:200]})",
            remedy="Go on from another checkpoint.",
        ) from error


def _require_value(metric: Metric | HostMetric, state: State) -> None:
    value = metric.entry(state).value
    if not isinstance(value, str):
        float(value)


def _running(metric: Metric | HostMetric, states: Mapping[str, State], otherwise: float | str) -> float | str:
    """The value over the epoch so far: that of the batch before anything counts, none where it would be costly."""
    if getattr(metric, "costly", False):
        return ""
    return metric.entry(states[metric.name]).value if metric.name in states else otherwise


def _to_record(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _to_record(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        values = [_to_record(value) for value in state]
        return values if isinstance(state, list) else {_TUPLE: values}
    if isinstance(state, np.generic):
        # a number of 32 bits adds up otherwise than Python's own
        return {_SCALAR: HostTensor.of(state)}
    return HostTensor.of(state) if isinstance(state, np.ndarray) else state


def _from_record(state: Any) -> Any:
    if isinstance(state, Mapping):
        if state.keys() == {_TUPLE}:
            return tuple(_from_record(state[_TUPLE]))
        if state.keys() == {_SCALAR}:
            return state[_SCALAR].numpy()[()]
        return {key: _from_record(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_from_record(value) for value in state]
    return state.numpy().copy() if isinstance(state, HostTensor) else state
