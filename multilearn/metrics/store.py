"""The one place that knows metric values: it folds batches, and keeps the history of the epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from multilearn.events import Reading, Split
from multilearn.history import History
from multilearn.metrics.folding import Folding, UpdateFolding, folding
from multilearn.protocols import (
    UNAVAILABLE,
    AnyMetric,
    HostMetric,
    HostOutput,
    Measured,
    Moment,
    Record,
    State,
    UpdateMetric,
    entry_of,
)
from multilearn.records.journal import Journal
from multilearn.records.object_state import from_record, to_record

__all__ = ["MetricStore"]

_log = logging.getLogger("multilearn")


class MetricStore:
    """States of the epoch that is under way, and the exact values of those that are done.

    `trial`: called with the states after the first batch of each split, to raise what saving them would raise.
    """

    def __init__(
        self, metrics: Mapping[Split, Sequence[AnyMetric]], trial: Callable[[Record], None] | None = None
    ) -> None:
        self._named = {
            split: tuple((metric.name, metric) for metric in of_split) for split, of_split in metrics.items()
        }
        self._of_updates = any(isinstance(each, UpdateMetric) for of_split in metrics.values() for each in of_split)
        self._foldings: dict[Split, dict[str, Folding]] = {}
        self._brought: dict[Split, dict[str, State]] = {}
        self._journal = Journal()
        self._texts: dict[Split, dict[str, str]] = {}
        self._warned: set[str] = set()
        self._observers: dict[Split, dict[str, Callable[[Moment], Measured]]] = {}
        self._trial = trial
        self._untried = set(metrics) if trial is not None else set()

    @property
    def history(self) -> History:
        """The values of all numeric metrics after every finished split."""
        return self._journal.history

    @property
    def journal(self) -> Journal:
        """The same as the lines of a file, of which `state` says how many there are."""
        return self._journal

    @property
    def texts(self) -> Mapping[Split, Mapping[str, str]]:
        """The values of the text metrics after the last finished epoch of each split."""
        return self._texts

    def names(self, split: Split) -> frozenset[str]:
        """Of all metrics that are measured."""
        return frozenset(name for name, _metric in self._named[split])

    def begin(self, split: Split) -> None:
        """A new epoch of the split: nothing has been counted."""
        self._foldings[split] = {name: folding(metric) for name, metric in self._named[split]}
        self._brought.pop(split, None)
        self._observing(split)

    def fold(
        self, split: Split, output: HostOutput, moment: Moment, counted: bool = True, update: int = 0
    ) -> Mapping[str, Reading]:
        """Take in one batch: the value of the batch and that of the epoch so far, for every metric.

        A batch that is not `counted` is measured, and is no part of the epoch, except for the machine it ran on.
        `update`: the number of the optimizer update that it is a part of.
        """
        readings = self._folded(split, output, moment, counted, update)
        if counted and split in self._untried:
            self._untried.discard(split)
            if self._trial is not None:
                self._trial({"metrics": {"states": self.state()["states"]}})
        return readings

    def _folded(
        self, split: Split, output: HostOutput, moment: Moment, counted: bool, update: int
    ) -> Mapping[str, Reading]:
        observers, foldings = self._observing(split), self._foldings[split]
        parts = (output.measures, *output.others)
        if counted and not observers and not self._of_updates:
            return MappingProxyType(
                {
                    name: folded.add(measured)
                    if (measured := [part[name] for part in parts if name in part])
                    else folded.passed()
                    for name, folded in foldings.items()
                }
            )
        readings = {}
        for name, folded in foldings.items():
            if name in observers:
                readings[name] = folded.add([observers[name](moment)])
            elif measured := [part[name] for part in parts if name in part]:
                if isinstance(folded, UpdateFolding):
                    readings[name] = folded.add_to(update, measured, counted)
                else:
                    readings[name] = folded.add(measured, counted)
            else:
                readings[name] = folded.passed()
        return MappingProxyType(readings)

    def end(self, split: Split, epoch: int) -> Mapping[str, Reading]:
        """The exact values over the epoch, which go into the history. Empty if there was no batch."""
        readings, values, texts = {}, {}, {}
        for name, metric in self._named[split]:
            folded = self._foldings[split][name]
            if (state := folded.state) is None:
                if folded.has_passed:
                    readings[name] = Reading(UNAVAILABLE, None, UNAVAILABLE)
                continue
            entry = entry_of(metric, state)
            readings[name] = Reading(entry.value, entry.count, entry.value)
            if not isinstance(entry.value, str):
                values[name] = entry.value
                self._warn_once(metric, state, entry.value, f"{split}, epoch {epoch}")
            elif not metric.numeric:
                texts[name] = entry.value
        self._texts[split] = texts
        self._journal.add(split, epoch, values)
        return MappingProxyType(readings)

    def state(self) -> Record:
        """All of it as a record, but for the journal: of that it says how much there is."""
        return {
            "history": self._journal.extent(),
            "texts": {str(split): dict(texts) for split, texts in self._texts.items()},
            "states": {
                str(split): {name: to_record(state) for name, state in self._states(split).items()}
                for split in Split
                if split in self._brought or split in self._foldings
            },
        }

    def restore(self, record: Record, journal: Journal | None = None) -> None:
        """Continue from what `state` returned, and from the journal of that time: without one, from an empty one."""
        self._journal = Journal() if journal is None else journal
        self._texts = {Split(split): dict(texts) for split, texts in record.get("texts", {}).items()}
        self._brought = {
            Split(split): {name: from_record(state) for name, state in states.items()}
            for split, states in record["states"].items()
        }
        self._foldings = {}
        for split, states in self._brought.items():
            named = self._named.get(split, ())
            self._foldings[split] = {name: folding(metric, states.get(name)) for name, metric in named}

    def _states(self, split: Split) -> dict[str, State]:
        """Those of the epoch under way; also what a record said of metrics that are no longer registered."""
        live = {name: folded.state for name, folded in self._foldings.get(split, {}).items()}
        found = {**self._brought.get(split, {}), **{name: state for name, state in live.items() if state is not None}}
        # in one order, whichever batch was the first to have a state: records of equal runs are equal byte for byte
        return {name: found[name] for name in dict.fromkeys([*live, *found]) if name in found}

    def _observing(self, split: Split) -> Mapping[str, Callable[[Moment], Measured]]:
        """What looks at the machine during the split: made once in a run, as it begins or is resumed."""
        if split not in self._observers:
            of_host = ((name, metric) for name, metric in self._named[split] if isinstance(metric, HostMetric))
            self._observers[split] = {name: metric.observer() for name, metric in of_host}
        return self._observers[split]

    def _warn_once(self, metric: AnyMetric, state: State, value: float, where: str) -> None:
        """Say why an epoch value is not a number, if the metric knows; never of a batch, and once for each metric."""
        caution = getattr(metric, "caution", None)
        if caution is not None and math.isnan(value) and metric.name not in self._warned:
            self._warned.add(metric.name)
            if reason := caution(state):
                _log.warning("%s (%s)", reason, where)
