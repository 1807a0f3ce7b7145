"""Outputs without a model, epochs of them cut into batches anyhow, and what a metric makes of them on numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from multilearn.events import Split
from multilearn.metrics import Entry, Metric, Moment, NumpyOps
from multilearn.metrics.store import MetricStore
from multilearn.outputs import ClassificationOutput, MultiLabelOutput
from multilearn.protocols import HostOutput, Output

OPS = NumpyOps()
MOMENT = Moment(None, 0.0, 0.0)
Array = np.ndarray[Any, Any]


def classified(logits: Any, targets: Any, weights: Any = None, from_logits: bool = True) -> ClassificationOutput:
    """An output whose loss is of no interest."""
    return ClassificationOutput(*_arrays(logits, targets, weights), from_logits)


def labelled(logits: Any, targets: Any, weights: Any = None, from_logits: bool = True) -> MultiLabelOutput:
    return MultiLabelOutput(*_arrays(logits, targets, weights), from_logits)


def _arrays(logits: Any, targets: Any, weights: Any) -> tuple[Any, ...]:
    logits = np.asarray(logits)
    if logits.dtype.kind != "f" or logits.dtype == np.float64:
        logits = logits.astype(np.float32)
    weights = None if weights is None else np.asarray(weights, np.float32)
    return np.float32(0), len(logits), logits, np.asarray(targets, np.int32), weights


def measured(metric: Metric, output: Output) -> dict[str, Array]:
    return {name: np.asarray(x) for name, x in metric.measure(OPS, output).items()}


def over(metric: Metric, outputs: Iterable[Output]) -> Entry:
    """The metric over an epoch of these batches."""
    state = None
    for output in outputs:
        state = metric.merge(state, measured(metric, output))
    assert state is not None
    return metric.entry(state)


def value(metric: Metric, *outputs: Output) -> float:
    found = over(metric, outputs).value
    assert isinstance(found, float)
    return found


def slices(items: int, cuts: Iterable[int]) -> list[slice]:
    """Batches of no particular size, none of them empty."""
    return [slice(*edges) for edges in pairwise(sorted({0, items, *(cut for cut in cuts if 0 < cut < items)}))]


def pieces(output: Any, cuts: Iterable[int]) -> list[Any]:
    """The output cut into batches."""
    arrays = {name: getattr(output, name, None) for name in ("logits", "predictions", "targets", "weights")}
    return [
        replace(output, count=part.stop - part.start, **{name: x[part] for name, x in arrays.items() if x is not None})
        for part in slices(len(output.targets), cuts)
    ]


def through_a_record(metric: Metric, outputs: Sequence[Output], at: int) -> Entry:
    """The metric over an epoch that is saved and gone on with, by another store, after `at` batches."""
    store = _store(metric)
    for output in outputs[:at]:
        store.fold(Split.TRAIN, HostOutput({metric.name: measured(metric, output)}), MOMENT)
    record, store = store.state(), _store(metric)
    store.restore(record)
    for output in outputs[at:]:
        store.fold(Split.TRAIN, HostOutput({metric.name: measured(metric, output)}), MOMENT)
    reading = store.end(Split.TRAIN, 1)[metric.name]
    return Entry(reading.value, reading.count)


def _store(metric: Metric) -> MetricStore:
    store = MetricStore({Split.TRAIN: [metric]})
    store.begin(Split.TRAIN)
    return store
