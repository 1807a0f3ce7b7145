"""Metrics and rates of a task whose models take turns: some are not taken for a batch, some are taken several times."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from multilearn.errors import ConfigurationError
from multilearn.events import Reading, Split
from multilearn.history import History
from multilearn.metrics import UNAVAILABLE, GradientNorm, Loss, NumpyOps, OfOutput, UpdateMetric
from multilearn.metrics.store import MetricStore
from multilearn.outputs import Output, TurnsOutput
from multilearn.protocols import HostOutput, Moment, Update
from multilearn.records.object_state import from_record, to_record
from multilearn.schedulers import Constant, Cosine, ReduceOnPlateau
from multilearn.schedulers.turns import PerTurn, TurnRates

TURNS = ("critic", "generator")
METRICS = (Loss(), *(OfOutput(turn, Loss()) for turn in TURNS))


def taken(turn: str, loss: float, count: int = 4) -> Mapping[str, Any]:
    """What one turn leaves of a batch."""
    of_turn = [loss if each == turn else 0.0 for each in TURNS]
    counts = [count if each == turn else 0 for each in TURNS]
    single = Output(np.float32(loss), count)
    output = TurnsOutput(single.loss, count, {turn: single}, np.float32(of_turn), np.float32(counts))
    own = [metric for metric in METRICS if getattr(metric, "output", turn) == turn]
    return {metric.name: metric.measure(NumpyOps(), output) for metric in own}


def epoch(*batches: list[Mapping[str, Any]], store: MetricStore | None = None) -> tuple[list[Any], MetricStore]:
    store = store or MetricStore({Split.TRAIN: METRICS})
    store.begin(Split.TRAIN)
    readings = [store.fold(Split.TRAIN, HostOutput(one, more), Moment(0.1, 1.0, 1.0)) for one, *more in batches]
    return readings, store


def test_each_turn_has_its_mean_and_the_loss_is_their_sum() -> None:
    first = [taken("critic", 1.0), taken("critic", 3.0)]
    second = [taken("critic", 8.0, 2), taken("critic", 8.0, 2), taken("generator", -1.0, 2)]
    readings, store = epoch(first, second)
    assert [each["Loss"].value for each in readings] == [2.0, 7.0]
    assert readings[0]["generator Loss"] == Reading(UNAVAILABLE, None, UNAVAILABLE)
    assert readings[1]["critic Loss"].running == (4 * 1.0 + 4 * 3.0 + 4 * 8.0) / 12
    ended = store.end(Split.TRAIN, 1)
    values = {name: reading.value for name, reading in ended.items()}
    assert values == {"Loss": 4.0 - 1.0, "critic Loss": 4.0, "generator Loss": -1.0}


def test_a_turn_that_was_not_taken_in_an_epoch_has_no_value_there() -> None:
    _, store = epoch([taken("critic", 1.0)], [taken("critic", 2.0)])
    ended = store.end(Split.TRAIN, 1)
    assert (ended["generator Loss"].value, ended["Loss"].value) == (UNAVAILABLE, 1.5)
    assert store.history.values("train", "generator Loss") == {}


def test_the_state_inside_an_epoch_goes_through_a_record() -> None:
    batches = [taken("critic", 1.0)], [taken("critic", 2.0), taken("generator", 5.0)], [taken("critic", 4.0)]
    _, whole = epoch(*batches)
    _, begun = epoch(*batches[:2])
    resumed = MetricStore({Split.TRAIN: METRICS})
    resumed.restore(from_record(to_record(begun.state())))
    resumed.fold(Split.TRAIN, HostOutput(*batches[2]), Moment(0.1, 1.0, 1.0))
    assert resumed.end(Split.TRAIN, 1) == whole.end(Split.TRAIN, 1)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_is_not_finite_if_that_of_a_turn_is_not(loss: float) -> None:
    assert Loss().is_finite(taken("critic", 1.0)["Loss"])
    assert not Loss().is_finite(taken("generator", loss)["Loss"])
    assert Loss().is_finite(taken("generator", loss, 0)["Loss"])


def test_a_metric_of_updates_is_that_of_one_turn() -> None:
    norm: Any = OfOutput("critic", GradientNorm())
    assert isinstance(norm, UpdateMetric)
    assert pickle.loads(pickle.dumps(norm)) == copy.deepcopy(norm) == norm
    gradients = [np.float32([3, 4])]
    measured = norm.measure_update(NumpyOps(), Update(gradients, gradients, "critic"))
    assert norm.entry(norm.merge(None, measured)).value == 5.0
    for turn in (None, "generator"):
        with pytest.raises(ConfigurationError, match="critic GradientNorm needs a task with a turn called 'critic'"):
            norm.measure_update(NumpyOps(), Update(gradients, gradients, turn))
    of_outputs = OfOutput("critic", Loss())
    assert pickle.loads(pickle.dumps(of_outputs)) == of_outputs and not isinstance(of_outputs, UpdateMetric)


def test_rates_are_given_by_turn_and_all_span_the_run() -> None:
    plateau = ReduceOnPlateau(1.0, patience=0, factor=0.5, metric="critic Loss", split="train")
    schedule = PerTurn((("critic", plateau), ("generator", Cosine(1.0))))
    assert schedule.horizon is None
    spanned = schedule.spanning(4)
    assert spanned.horizon == 4
    rates = spanned.learning_rate(2)
    assert isinstance(rates, TurnRates)
    assert (float(rates), rates.by_turn) == (1.0, {"critic": 1.0, "generator": pytest.approx(0.5)})
    history = History()
    for at, loss in ((1, 1.0), (2, 2.0)):
        history = history.with_epoch(Split.TRAIN, at, {"critic Loss": loss})
        spanned.observe(at, history)
    assert spanned.learning_rate(4).by_turn["critic"] == 0.5
    other = PerTurn((("critic", copy.deepcopy(plateau)), ("generator", Constant(1.0))))
    other.restore(spanned.state())
    assert other.learning_rate(0).by_turn == {"critic": 0.5, "generator": 1.0}
