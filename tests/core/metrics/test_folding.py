"""A metric over the epoch: how often it is asked, and what a record keeps of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multilearn import metrics as m
from multilearn.events import Split
from multilearn.metrics.store import MetricStore
from multilearn.protocols import HostOutput, Moment


class Counting:
    """A metric that counts how often each half is asked for."""

    name, unit, numeric = "Counting", "", True

    def __init__(self) -> None:
        self.merged = self.entered = 0

    def merge(self, state: Any, measured: Any) -> Any:
        self.merged += 1
        return {"sum": measured["value"] + (state["sum"] if state else 0)}

    def entry(self, state: Any) -> m.Entry:
        self.entered += 1
        return m.Entry(float(state["sum"]))


@pytest.mark.parametrize("batches", [10, 1000])
def test_a_metric_is_asked_equally_often_in_every_batch_however_many_there_were(batches: int) -> None:
    metric: Any = Counting()
    store = MetricStore({Split.TRAIN: [metric]})
    store.begin(Split.TRAIN)
    for _ in range(batches):
        store.fold(Split.TRAIN, HostOutput({"Counting": {"value": 1}}), Moment(0.1, 0.0, 0.0))
    assert (metric.merged, metric.entered) == (2 * batches, 2 * batches)
    assert store.end(Split.TRAIN, 1)["Counting"].value == batches


def test_the_splits_of_a_record_keep_their_order_in_a_run_that_goes_on_with_the_next_epoch() -> None:
    def measure(store: MetricStore, split: Split) -> None:
        store.begin(split)
        store.fold(split, HostOutput({"Loss": {"loss": np.float32(1), "count": 1}}), Moment(0.1, 0.0, 0.0))

    stores = [MetricStore({Split.TRAIN: [m.Loss()], Split.VALID: [m.Loss()]}) for _ in range(2)]
    whole, resumed = stores
    measure(whole, Split.TRAIN)
    measure(whole, Split.VALID)
    resumed.restore(whole.state())
    for store in stores:
        measure(store, Split.TRAIN)
        assert list(store.state()["states"]) == ["train", "valid"]
