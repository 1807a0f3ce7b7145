"""Metrics of the machine and of the loop: in a run, where there is no sensor, after a resume, beside one another."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn import metrics as m
from multilearn.commands.compare.study import compare_grouped as compare
from multilearn.errors import ConfigurationError
from multilearn.events import Split, SplitEnded, Stepped
from multilearn.loggers import read_metric_file
from multilearn.metrics.machine import Sensor
from multilearn.metrics.store import MetricStore
from multilearn.protocols import Entry, HostOutput, Measured, Moment, State
from multilearn.storage.layout import RunDirectory

SENSORS = (m.CpuUse(), m.CpuMemory(), m.GpuUse(), m.GpuMemory())


def at(clock: float, seconds: float = 0.0, rate: float | None = 0.1, items: int | None = None) -> Moment:
    return Moment(rate, seconds, clock, items)


def over(metric: Any, moments: list[Moment]) -> Entry:
    """The metric over an epoch of these batches."""
    observe, state = metric.observer(), None
    for moment in moments:
        state = metric.merge(state, observe(moment))
    return metric.entry(state)


@dataclass(frozen=True)
class Counter(Sensor):
    """Says how often it was read."""

    failing: frozenset[int] = frozenset()
    name: ClassVar[str] = "Counter"
    unit: ClassVar[str] = ""

    def reader(self) -> Callable[[], float]:
        readings = 0

        def read() -> float:
            nonlocal readings
            readings += 1
            if readings in self.failing:
                raise OSError("unplugged")
            return readings

        return read


def test_a_sensor_is_read_once_a_second_at_most() -> None:
    assert over(Counter(), [at(10.0), at(10.5), at(10.99), at(11.0), at(12.5)]).value == (1 + 1 + 1 + 2 + 3) / 5


def test_a_sensor_that_fails_is_unavailable_and_says_nothing_of_the_other_readings() -> None:
    assert over(Counter(frozenset({1})), [at(0.0)]).value == "unavailable"
    assert over(Counter(frozenset({1})), [at(0.0), at(1.0), at(2.0)]).value == 2.5


def test_two_runs_observe_for_themselves() -> None:
    metric = Counter()
    one, other = metric.observer(), metric.observer()
    assert [one(at(0.0)), one(at(1.0)), other(at(1.0))] == [{"value": 1.0}, {"value": 2.0}, {"value": 1.0}]


def test_speed_is_batches_over_time_and_no_mean_of_speeds() -> None:
    assert over(m.IterationSpeed(), [at(1.0, 1.0), at(1.5, 0.5), at(1.5, 0.5)]) == Entry(3 / 2.0)
    assert math.isnan(float(over(m.IterationSpeed(), [at(0.0, 0.0)]).value))


def test_samples_per_second_are_items_over_time_also_of_batches_of_different_lengths() -> None:
    moments = [at(1.0, 1.0, items=8), at(1.5, 0.5, items=8), at(2.0, 0.5, items=3)]
    assert over(m.SamplesPerSecond(), moments) == Entry(19 / 2.0)
    assert over(m.SamplesPerSecond(), [at(1.0, 1.0)]) == Entry("unavailable")
    assert math.isnan(float(over(m.SamplesPerSecond(), [at(0.0, 0.0, items=1)]).value))


def test_a_run_knows_how_many_items_a_batch_has(tmp_path: Path) -> None:
    run = toy.fit(toy.builder(tmp_path / "run", epochs=1).metrics(m.SamplesPerSecond(), m.IterationSpeed()))
    for split, items, batches in (("train", 35, toy.BATCHES), ("valid", 13, toy.VALID_BATCHES)):
        found = run.history[split]
        assert found["SamplesPerSecond"][0] / found["IterationSpeed"][0] == pytest.approx(items / batches)


def test_the_rate_of_an_epoch_is_that_of_its_last_batch() -> None:
    assert over(m.LearningRate(), [at(0.0, rate=0.5), at(1.0, rate=0.25)]) == Entry(0.25)
    assert over(m.LearningRate(), [at(0.0, rate=None)]) == Entry("unavailable")


def test_cpu_use_is_the_busy_share_of_what_all_cores_had(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(10.0, 90.0, 0.0), (10.0, 90.0, 0.0), (13.0, 91.0, 1.0), (13.0, 95.0, 1.0)])

    def cpu_times() -> Any:
        user, idle, iowait = next(times)
        fields = {"user": user, "idle": idle, "iowait": iowait, "guest": 2.0}
        fields["user"] += 2.0
        return SimpleNamespace(_asdict=lambda: fields)

    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(cpu_times=cpu_times))
    observe = m.CpuUse().observer()
    first, *others = [observe(at(clock))["value"] for clock in (0.0, 1.0, 2.0)]
    assert math.isnan(first)  # no tick yet
    assert others == [3 / 5, 0.0]


def test_sensors_of_this_machine_are_within_reason() -> None:
    observe, clock, used = m.CpuUse().observer(), 0.0, math.nan
    while math.isnan(used):  # until the system's clock has ticked
        clock, used = clock + 1, observe(at(clock))["value"]
    assert 0 <= used <= 1
    # numpy and Python alone take more than 10 MiB, and no test machine has a TiB
    assert 0.01 < m.CpuMemory().observer()(at(0.0))["value"] < 1024


@pytest.mark.parametrize("missing", ["psutil", "pynvml"])
def test_a_missing_library_makes_unavailable_of_its_sensors(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for metric in {"psutil": SENSORS[:2], "pynvml": SENSORS[2:]}[missing]:
        assert over(metric, [at(0.0), at(5.0)]) == Entry("unavailable")


class Nvml:
    """A driver with three GPUs, which counts how often it is open."""

    def __init__(self) -> None:
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index > 2:
            raise RuntimeError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return {"GPU-b": 1}[uuid]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=25 * gpu)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=(gpu + 1) * 2**31)


@pytest.mark.parametrize(
    ("visible", "index", "use", "memory"),
    [
        (None, 0, 0.0, 2.0),
        (None, 2, 0.5, 6.0),
        ("2,0", 0, 0.5, 6.0),
        ("GPU-b", 0, 0.25, 4.0),
        ("1", 1, "unavailable", "unavailable"),
        ("", 0, "unavailable", "unavailable"),
        ("-1", 0, "unavailable", "unavailable"),
        (None, 7, "unavailable", "unavailable"),
    ],
)
def test_gpus_are_numbered_as_the_framework_sees_them_and_nothing_stays_open(
    visible: str | None, index: int, use: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert over(m.GpuUse(index), [at(0.0), at(1.0)]).value == use
    assert over(m.GpuMemory(index), [at(0.0), at(1.0)]).value == memory
    assert driver.open == 0


@pytest.mark.parametrize("make", [m.GpuUse, m.GpuMemory])
def test_a_gpu_is_named_by_a_number(make: Any) -> None:
    for wrong in (-1, "gpu:0", 0.5):
        with pytest.raises(ConfigurationError, match="whole number"):
            make(wrong)


# --- in a run ---------------------------------------------------------------------------------------------------------


def builder(directory: Path, **options: Any) -> ml.LearnerBuilder:
    return toy.builder(directory, **options).metrics(m.LearningRate(), m.IterationSpeed(), *SENSORS)


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.mark.usefixtures("without_gpu")
def test_a_run_reports_them_like_any_other_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = toy.Recorded()
    described = builder(tmp_path / "run").metric_loggers(ml.loggers.FileMetricLogger(), recorded)
    run = toy.fit(described.renderer(ml.renderers.CliRenderer()).summary())
    rates = [ml.schedulers.Cosine(0.5, updates=4 * toy.BATCHES).learning_rate(i) for i in range(3 * toy.BATCHES)]
    assert run.history["train"]["LearningRate"] == tuple(rates[toy.BATCHES - 1 :: toy.BATCHES])
    assert [s.readings["LearningRate"].value for s in recorded.of(Stepped) if s.split is Split.TRAIN] == rates
    assert all(value > 0 for value in run.history["valid"]["IterationSpeed"])
    assert "GpuUse" not in run.history["train"]
    assert {event.readings["GpuUse"].value for event in recorded.of(SplitEnded)} == {"unavailable"}
    file = read_metric_file(RunDirectory(tmp_path / "run").metric(Split.VALID, 2, "GpuMemory"))
    assert set(file.values) == {"unavailable"} and file.final == "unavailable"
    screen = capsys.readouterr().out
    assert "GpuUse unavailable" in screen and " GiB" in screen and " batches/s" in screen
    log = (tmp_path / "run/experiment.log").read_text()
    assert "WARNING" not in log and "Gpu" not in log


@pytest.mark.usefixtures("without_gpu")
def test_the_speed_of_an_epoch_accounts_for_its_whole_time(tmp_path: Path) -> None:
    recorded = toy.Recorded()
    toy.fit(builder(tmp_path / "run", epochs=1).metric_loggers(recorded))
    values = [step.readings["IterationSpeed"].value for step in recorded.of(Stepped) if step.split is Split.TRAIN]
    epoch = recorded.of(SplitEnded)[0].readings["IterationSpeed"].value
    assert toy.BATCHES / epoch == pytest.approx(sum(1 / value for value in values))


def test_they_change_nothing_of_what_is_trained_and_equal_runs_are_equal(tmp_path: Path) -> None:
    plain, measured, _ = (
        toy.fit(make(tmp_path / name))
        for name, make in (("plain", toy.builder), ("measured", builder), ("again", builder))
    )
    assert toy.weights(plain) == toy.weights(measured)
    compared = compare([tmp_path / "measured", tmp_path / "again"])
    assert compared.same
    assert {row.metric for row in compared.values} == {"Accuracy", "LearningRate", "Loss"}
    assert any("CpuUse" in note and "IterationSpeed" in note for note in compared.notes)
    # what only one of them measured of its machine is nothing that the other lacks
    fewer = toy.fit(toy.builder(tmp_path / "fewer").metrics(m.LearningRate()))
    assert fewer.history["train"]["Loss"] == measured.history["train"]["Loss"]
    assert compare([tmp_path / "measured", tmp_path / "fewer"]).same


def test_a_resume_inside_an_epoch_goes_on_with_them_and_leaves_finished_epochs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    toy.stopped(builder(tmp_path / "run"), 2, 3)
    before = {name: content for name, content in toy.metric_files(tmp_path / "run").items() if "epoch-1" in name}
    # the machine that it goes on on has no GPU
    monkeypatch.setitem(sys.modules, "pynvml", None)
    run = toy.fit(builder(tmp_path / "run").checkpoint("latest"))
    after = toy.metric_files(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    file = read_metric_file(RunDirectory(tmp_path / "run").metric(Split.TRAIN, 2, "GpuMemory"))
    assert len(file.values) == toy.BATCHES
    assert {*file.values} == {2.0, "unavailable"} and file.final == 2.0
    assert len(run.history["train"]["CpuMemory"]) == 3
    assert np.isnan(run.history["train"]["GpuMemory"]).tolist() == [False, False, True]


def test_a_batch_that_does_not_count_took_its_time_all_the_same() -> None:
    store = MetricStore({Split.TRAIN: (m.Loss(), m.IterationSpeed())})
    store.begin(Split.TRAIN)
    for counted in (True, False):
        output = HostOutput({"Loss": {"loss": np.float32(3.0), "count": np.int32(4)}})
        store.fold(Split.TRAIN, output, at(0.0, 0.5), counted)
    ended = store.end(Split.TRAIN, 1)
    assert (ended["Loss"].count, ended["IterationSpeed"].value) == (4, 2.0)


def test_one_of_ones_own_takes_ten_lines(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class OpenFiles:
        name: ClassVar[str] = "OpenFiles"
        unit: ClassVar[str] = ""
        numeric: ClassVar[bool] = True

        def observer(self) -> Callable[[Moment], Measured]:
            return lambda moment: {"files": len(os.listdir("."))}

        def merge(self, state: State | None, measured: Measured) -> State:
            return measured

        def entry(self, state: State) -> Entry:
            return Entry(float(state["files"]))

    run = toy.fit(toy.builder(tmp_path / "run").metric_train_numeric(OpenFiles()))
    assert run.history["train"]["OpenFiles"] == (float(len(os.listdir("."))),) * 3


@pytest.mark.usefixtures("without_gpu")
def test_what_is_unavailable_is_never_best(tmp_path: Path) -> None:
    assert toy.fit(builder(tmp_path / "run").restore_best("GpuMemory", "train", "lowest")).restored is None
