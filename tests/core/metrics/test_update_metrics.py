"""Metrics of the optimizer's updates: what an epoch is made of, also of windows of batches, and where they belong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn import metrics as m
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.loggers import read_metric_file
from multilearn.metrics.store import MetricStore
from multilearn.protocols import Entry, HostOutput, Moment, Update

INF, NAN = math.inf, math.nan


def norms_of(*arrays: np.ndarray) -> tuple[float | str, float | str]:
    """Of gradients that are these, and of weights that are twice as large."""
    update = Update(arrays, [2 * each for each in arrays])
    found = []
    for metric in (m.GradientNorm(), m.WeightNorm()):
        found.append(metric.entry(metric.merge(None, metric.measure_update(m.NumpyOps(), update))).value)
    return found[0], found[1]


def test_a_norm_is_over_all_elements_of_all_variables() -> None:
    assert norms_of(np.float32([[1, 2], [2, 4]]), np.float32([10]), np.float32(0)) == pytest.approx(
        (125**0.5, 500**0.5)
    )
    # the squares would not fit into half precision
    assert norms_of(np.full((2, 2), 30_000, np.float16))[0] == pytest.approx(60_000)
    assert norms_of(np.float32([1, INF]))[0] == INF
    assert math.isnan(float(norms_of(np.float32([1, NAN]))[0]))
    assert norms_of() == (0.0, 0.0)


def epoch(*batches: tuple[int, float], uncounted: tuple[int, ...] = ()) -> tuple[list[float], Entry, Entry]:
    """Of batches (number of the update, norm): the value of each, and those of the epoch of both metrics."""
    metrics = m.GradientNorm(), m.WeightNorm()
    store = MetricStore({Split.TRAIN: metrics})
    store.begin(Split.TRAIN)
    values = []
    for at, (update, norm) in enumerate(batches):
        square = {"square": np.float32(norm) ** 2}
        output = HostOutput({metric.name: square for metric in metrics})
        readings = store.fold(Split.TRAIN, output, Moment(0.1, 1.0, 1.0), at not in uncounted, update)
        values.append(readings["GradientNorm"].value)
    ended = store.end(Split.TRAIN, 1)
    gradient, weight = (Entry(ended[metric.name].value, ended[metric.name].count) for metric in metrics)
    return values, gradient, weight


def test_an_epoch_has_the_mean_over_its_updates_and_the_last_weights() -> None:
    assert epoch((0, 2.0), (1, 3.0), (2, 7.0)) == ([2.0, 3.0, 7.0], Entry(4.0), Entry(7.0))


def test_of_a_window_the_last_batch_counts() -> None:
    values, gradient, weight = epoch((0, 9.0), (0, 8.0), (0, 2.0), (1, 7.0), (1, 4.0))
    assert (values, gradient, weight) == ([9.0, 8.0, 2.0, 7.0, 4.0], Entry(3.0), Entry(4.0))
    # a batch that is skipped is no part of the epoch, wherever it is in its window
    assert epoch((0, 1.0), (0, 9.0), (1, 9.0), (1, 5.0), uncounted=(1, 2))[1] == Entry(3.0)
    assert epoch((0, 1.0), (1, 9.0), uncounted=(1,))[1] == Entry(1.0)


def test_a_gradient_that_is_not_finite_is_seen_in_its_batch_and_hides_no_other() -> None:
    values, gradient, _ = epoch((0, INF), (1, 3.0), (2, INF), (3, 5.0))
    assert (values, gradient) == ([INF, 3.0, INF, 5.0], Entry(4.0))
    assert epoch((0, INF))[1] == Entry(INF)


@pytest.mark.parametrize("window", [1, 2])
def test_a_run_has_them_in_training_alone_and_goes_on_with_them(tmp_path: Path, window: int) -> None:
    def described(folder: str) -> ml.LearnerBuilder:
        norms = m.GradientNorm(), m.WeightNorm()
        return toy.builder(tmp_path / folder).metrics(*norms).grads_accumulation(window)

    whole = toy.fit(described("whole"))
    assert set(whole.history["train"]) - set(whole.history["valid"]) == {"GradientNorm", "WeightNorm"}
    assert all(0 < value < 10 for value in whole.history["train"]["GradientNorm"])
    lines = read_metric_file(tmp_path / "whole" / "train" / "epoch-2" / "GradientNorm.log")
    assert len(lines.values) == toy.BATCHES
    closing = [value for number, value in enumerate(lines.values, start=1) if number % window == 0 or number == 5]
    assert whole.history["train"]["GradientNorm"][1] == pytest.approx(np.mean(np.array(closing, float)))
    assert toy.stopped(described("cut"), 2, 3).stopped_by == "enough"
    toy.fit(described("cut").checkpoint("latest"))
    assert toy.metric_files(tmp_path / "cut") == toy.metric_files(tmp_path / "whole")


def test_they_are_registered_in_training_and_nowhere_else(tmp_path: Path) -> None:
    builder = ml.LearnerBuilder(tmp_path / "run")
    said = "GradientNorm is measured of the optimizer's updates, which only training has. Received: GradientNorm on "
    for register in (builder.metric_valid, builder.metric_valid_numeric):
        with pytest.raises(ConfigurationError, match=f"{said}valid"):
            register(m.GradientNorm())
    with pytest.raises(ConfigurationError, match=f"{said}test"):
        ml.Evaluator(tmp_path / "run", metrics=(m.GradientNorm(),))
    with pytest.raises(ConfigurationError, match="must have name"):
        builder.metric_train(m.GradientNorm)  # type: ignore[arg-type]


def test_as_data_they_are_on_the_training_split(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('directory = "runs/a"\nmetrics = ["GradientNorm", "Loss"]\n')
    builder = ml.LearnerBuilder.from_toml(tmp_path / "run.toml")
    found = [(each.split, each.metric.name) for each in builder._settings.metrics]
    assert found == [("train", "GradientNorm"), ("train", "Loss"), ("valid", "Loss")]
    (tmp_path / "again.toml").write_text(builder.to_toml())
    again = ml.LearnerBuilder.from_toml(tmp_path / "again.toml")
    assert again._settings.metrics == builder._settings.metrics
