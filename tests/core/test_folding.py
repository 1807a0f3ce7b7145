"""Means and shares as plain sums are what their metrics' own methods make of the same batches, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn import metrics as m
from multilearn.events import Reading, Split
from multilearn.metrics.folding import Folding, Merging, folding
from multilearn.metrics.store import MetricStore
from multilearn.protocols import HostOutput, Moment

FLOATS = st.floats(width=32)
COUNTS = st.one_of(st.floats(0, 1e6, width=32), st.integers(0, 100).map(float), st.just(float("nan")))
SUMS = st.fixed_dictionaries({"correct": st.integers(0, 2**31 - 1), "count": st.integers(0, 2**31 - 1)})
BATCHES = {
    m.Loss(): st.fixed_dictionaries({"loss": FLOATS, "count": COUNTS}),
    m.Mean("reconstruction"): st.fixed_dictionaries({"value": FLOATS, "count": COUNTS}),
    m.Accuracy(): SUMS,
    m.TopKAccuracy(3): SUMS,
    m.HammingScore(): SUMS,
    m.OfOutput("left", m.Accuracy()): SUMS,
}


def bits(value: object) -> object:
    return value if isinstance(value, (str, int)) or value is None else (type(value), np.float64(value).tobytes())


def seen(reading: Reading) -> list[object]:
    return [bits(reading.value), bits(reading.count), bits(reading.running)]


def held(folded: Folding) -> object:
    return None if folded.state is None else {name: bits(value) for name, value in folded.state.items()}


def on_host(measured: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array(each, np.int32 if type(each) is int else np.float32) for name, each in measured.items()}


@given(st.data())
@pytest.mark.parametrize("metric", BATCHES, ids=lambda metric: metric.name)
def test_plain_sums_are_what_merge_and_entry_make(metric: Any, data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.tuples(BATCHES[metric], st.booleans()), max_size=6))
    plain, own = folding(metric), Merging(metric)
    assert not isinstance(plain, Merging)
    for measured, counted in batches:
        with np.errstate(all="ignore"):
            assert seen(plain.add(on_host(measured), counted)) == seen(own.add(on_host(measured), counted))
        assert held(plain) == held(own)
        plain = folding(metric, plain.state)  # and from there on, as after a restart


class Halved(m.Accuracy):
    def entry(self, state: Any) -> m.Entry:
        return m.Entry(super().entry(state).value / 2)


def test_a_metric_that_overrides_one_half_is_asked_itself() -> None:
    reading = folding(Halved()).add({"correct": np.int32(3), "count": np.int32(4)})
    assert reading == Reading(0.375, None, 0.375)


@pytest.mark.parametrize("state", [{"correct": np.int64(3), "count": 4}, {"correct": 1.0, "count": 4}, {"total": 1}])
def test_a_state_that_is_of_another_kind_is_left_to_the_metric(state: Any) -> None:
    assert isinstance(folding(m.Accuracy(), state), Merging)


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
