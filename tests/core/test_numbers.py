"""Numbers of numpy's and of other libraries are numbers everywhere: in files, in states and for listeners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import Momentum

import multilearn as ml
from multilearn.checkpoint import HostTensor, MpkGzRecorder, MpkRecorder, SafetensorsRecorder
from multilearn.checkpoint.checkpointer import SaveInterval
from multilearn.errors import CheckpointError, ConfigurationError, RecordError
from multilearn.events import EpochEnded, SplitEnded, Stepped
from multilearn.learner.argument_checks import which_checkpoint
from multilearn.loggers.metric_file import read_metric_file
from multilearn.plain import as_number
from multilearn.records.object_state import from_record, to_record
from multilearn.seeding import seed


class Colour(IntEnum):
    RED = 3


NUMBERS = [
    (np.float32(0.1), 0.10000000149011612),
    (np.float16(0.1), 0.0999755859375),
    (np.float64(0.1), 0.1),
    (np.longdouble(0.5), 0.5),
    (np.int64(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.bool_(True), True),
    (np.asarray(0.25), 0.25),
    (np.asarray(7), 7),
    (np.asarray(False), False),
    (Decimal("0.1"), 0.1),
    (Fraction(1, 4), 0.25),
    (Colour.RED, 3),
    (0.1, 0.1),
    (-5, -5),
    (True, True),
]
OTHERS = ["0.5", b"1", None, 1j, np.complex64(1j), np.asarray([1.0]), np.datetime64("2020"), [1.0], float, np.float32]


@pytest.mark.parametrize(("number", "expected"), NUMBERS, ids=repr)
def test_a_number_of_any_library_is_one_of_pythons(number: Any, expected: Any) -> None:
    found = as_number(number)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_what_is_no_number_stays_as_it_is(other: Any) -> None:
    assert as_number(other) is other


STATE = {
    "smoothed": np.float32(0.1),
    "counts": (np.int16(3), [np.bool_(True), np.uint64(2**64 - 1)]),
    "array": np.array([0.1, 0.2], np.float16),
    "held": np.asarray(0.5),
    "tensor": HostTensor.of(np.zeros(2)),
    "exact": [Decimal("0.1"), Fraction(-1, 3), 2**127 + 1, -(2**80), 2**62],
    "plain": {"a": 1, "b": 0.1, "c": None, "d": True, "e": "x", "f": b"y"},
}


@pytest.mark.parametrize("recorder", [MpkRecorder(), MpkGzRecorder(), SafetensorsRecorder()], ids=lambda r: r.extension)
def test_a_state_comes_back_as_it_was(recorder: Any) -> None:
    recorder.write(file := BytesIO(), {"state": to_record(STATE)}, {})
    file.seek(0)
    found = from_record(recorder.read(file, 1 << 16).item["state"])
    assert kinds(found) == kinds(STATE)
    assert repr(found) == repr(STATE)
    assert found["array"].tobytes() == STATE["array"].tobytes()


def kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kinds(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value), *map(kinds, value)]
    return type(value), getattr(value, "dtype", None)


@pytest.mark.parametrize(
    "record",
    [{"(Fraction)": "1e9"}, {"(Fraction)": "1/0"}, {"(int)": "1" * 5000}, {"(scalar)": 3}, {"(tuple)": 1}],
    ids=str,
)
def test_a_state_that_was_never_written_is_refused(record: Any) -> None:
    with pytest.raises(RecordError):
        from_record({"state": record})


@pytest.mark.parametrize("recorder", [MpkRecorder(), SafetensorsRecorder()], ids=lambda each: each.extension)
@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"b": [1, {"c": object()}]}, "a/b/1/c"),
        ({"b": 1j}, "a/b"),
        ({"b": {"c": {1}}}, "a/b/c"),
        ({"b": {2: 1}}, "a/b"),
    ],
    ids=["object", "complex", "set", "key"],
)
def test_what_a_record_cannot_hold_is_named_by_its_path(recorder: Any, value: Any, place: str) -> None:
    with pytest.raises(CheckpointError, match=rf"at {place}\."):
        recorder.write(BytesIO(), {"a": value}, {})


class Middle:
    """The median of what was predicted, as `kind` makes it."""

    name, unit, numeric = "Middle", "", True

    def __init__(self, kind: Callable[[Any], Any], **state: Any) -> None:
        self._kind, self._state = kind, state

    def measure(self, ops: Any, output: Any) -> Mapping[str, Any]:
        return {"logits": ops.float32(output.logits)}

    def merge(self, state: Any, measured: Any) -> Any:
        return {"seen": [*(state["seen"] if state else []), measured["logits"]], **self._state}

    def entry(self, state: Any) -> ml.metrics.Entry:
        middle = self._kind(np.median(np.concatenate(state["seen"])))
        return ml.metrics.Entry(middle, np.int64(len(state["seen"])))


KINDS = [
    np.float32,
    np.float64,
    np.int64,
    np.asarray,
    lambda each: Decimal(float(each)),
    lambda each: Fraction(float(each)),
]


@pytest.mark.parametrize("kind", KINDS, ids=["float32", "float64", "int64", "asarray", "Decimal", "Fraction"])
def test_a_metrics_value_is_a_number_for_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: Callable[[Any], Any]
) -> None:
    logger = toy.Recorded()
    described = toy.builder(tmp_path / "run", epochs=2).metrics(Middle(kind)).renderer(ml.renderers.CliRenderer())
    learner = toy.fit(described.metric_loggers(logger, ml.loggers.FileMetricLogger()).summary())
    (first, second) = learner.history["train"]["Middle"]
    assert {type(first), type(second)} == {float}
    readings = [event.readings["Middle"] for event in (*logger.of(Stepped), *logger.of(SplitEnded))]
    assert {(type(each.value), type(each.count)) for each in readings} == {(float, int)}
    file = read_metric_file(tmp_path / "run" / "train" / "epoch-2" / "Middle.log")
    assert (len(file.values), file.final) == (toy.BATCHES, second)
    assert f"Middle {second:.4f}" in capsys.readouterr().out
    resumed = toy.fit(toy.builder(tmp_path / "run", epochs=3).metrics(Middle(kind)).checkpoint(2))
    whole = toy.fit(toy.builder(tmp_path / "whole", epochs=3).metrics(Middle(kind)))
    assert resumed.history == whole.history


@pytest.mark.parametrize(
    "value", [None, [1.0], np.ones(2), 1j, object()], ids=["None", "list", "array", "complex", "object"]
)
def test_a_metrics_value_that_is_none_is_refused_by_name_at_its_first_batch(tmp_path: Path, value: Any) -> None:
    logger = toy.Recorded()
    with pytest.raises(
        ConfigurationError, match=r"The metric Middle: the value of a metric must be a number or a text"
    ):
        toy.fit(toy.builder(tmp_path / "run").metrics(Middle(lambda _: value)).metric_loggers(logger))
    assert not logger.of(EpochEnded)


def test_a_metrics_state_that_cannot_be_saved_is_refused_at_its_first_batch(tmp_path: Path) -> None:
    logger, metric = toy.Recorded(), Middle(float, names={"a", "b"})
    with pytest.raises(CheckpointError, match=r"set at metrics/states/train/Middle/names\."):
        toy.fit(toy.builder(tmp_path / "run").metrics(metric).metric_loggers(logger))
    assert len(logger.of(Stepped)) == 0
    # without a checkpointer nothing of it is ever saved
    toy.fit(ml.LearnerBuilder(tmp_path / "free").metrics(metric).renderer(ml.renderers.SilentRenderer()))


class Smoothed:
    """A schedule that follows the loss in its own arithmetic, of 32 bits, or exact."""

    def __init__(self, start: Any, make: Callable[[float], Any]) -> None:
        self.smoothed, self._make = start, make

    def learning_rate(self, update: int) -> float:
        return float(self.smoothed)

    def observe(self, epoch: int, history: Any) -> None:
        self.smoothed = self.smoothed * self._make(0.75) + self._make(history.values("train", "Loss")[epoch] / 16)

    def state(self) -> dict[str, Any]:
        return {"smoothed": self.smoothed}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.smoothed = state["smoothed"]


SCHEDULES: dict[str, Callable[[], Any]] = {
    "float32": lambda: Smoothed(np.float32(0.1), np.float32),
    "0-d": lambda: Smoothed(np.asarray(0.1, np.float32), np.float32),
    "Decimal": lambda: Smoothed(Decimal("0.1"), Decimal),
    "Fraction": lambda: Smoothed(Fraction(1, 10), Fraction),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_that_keeps_such_a_number_is_resumed_bit_for_bit(tmp_path: Path, kind: str) -> None:
    def run(directory: str, epochs: int, **resume: Any) -> ml.Learner:
        described = toy.builder(tmp_path / directory, epochs)
        described = described.checkpoint("latest") if resume else described
        ml.set_seed(toy.SEED)
        learner = described.build(toy.task(), Momentum(), SCHEDULES[kind]())
        learner.fit(toy.train_loader(), toy.valid_loader())
        return learner

    whole = run("whole", 3)
    run("parts", 2)
    parts = run("parts", 3, resume=True)
    assert toy.weights(parts) == toy.weights(whole)
    assert parts.history == whole.history
    assert toy.checkpoint_files(tmp_path / "parts") == toy.checkpoint_files(tmp_path / "whole")


def test_a_schedules_state_that_cannot_be_saved_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    learner = toy.builder(tmp_path / "run").build(toy.task(), Momentum(), Smoothed(np.complex64(1), float))
    with pytest.raises(CheckpointError, match=r"complex64 at scheduler/state/smoothed\."):
        learner.fit(toy.train_loader())
    assert not (tmp_path / "run").exists()


class Placed:
    """A loader with a state of its own."""

    resumes_inside_epoch = True

    def __init__(self, state: Any) -> None:
        self._state, self.restored = state, None

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        yield from toy.train_loader().iterate(seed, epoch, start)

    def state(self, batch: int) -> dict[str, Any]:
        return {"place": self._state}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.restored = state["place"]


@pytest.mark.parametrize("split", ["loader", "valid_loader"])
def test_a_loaders_state_is_such_data_or_refused(tmp_path: Path, split: str) -> None:
    def fit(directory: str, loader: Any, epochs: int = 1, resume: bool = False) -> None:
        described = toy.builder(tmp_path / directory, epochs)
        described = described.checkpoint("latest") if resume else described
        toy.fit(described, *((loader,) if split == "loader" else (None, loader)))

    with pytest.raises(CheckpointError, match=rf"set at {split}/place\."):
        fit("refused", Placed({1}))
    assert not (tmp_path / "refused").exists()
    fit("run", Placed((np.int64(3), np.float32(0.1))))
    fit("run", again := Placed(None), 2, resume=True)
    assert repr(again.restored) == repr((np.int64(3), np.float32(0.1)))


def test_numbers_in_the_builder_are_data(tmp_path: Path) -> None:
    described = toy.builder(tmp_path / "run", epochs=np.int64(1)).checkpoint_every(minutes=np.float32(0.5))
    described = described.with_checkpointing_strategy(ml.checkpoint.KeepLast(np.int64(2))).early_stopping(
        ml.early_stopping.TimeLimit(minutes=np.float32(30))
    )
    toy.fit(described)
    builder = toy.experiment(tmp_path / "run")["builder"]
    assert builder["checkpoint_every"] == {"minutes": 0.5}
    assert "minutes = 0.5" in ml.LearnerBuilder("a").checkpoint_every(minutes=np.float32(0.5)).to_toml()


class LastInNumpy:
    """A strategy that answers with an array."""

    def keep(self, epochs: Any, history: Any) -> Any:
        return np.sort(np.asarray(epochs))[-1:]


def test_a_strategy_may_count_in_numpys_numbers(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "run", epochs=3).with_checkpointing_strategy(LastInNumpy()))
    assert toy.checkpoints(tmp_path / "run") == ["3"]


ZERO_D = {
    "a learning rate": (lambda n: ml.schedulers.Constant(n).rate, 0.5),
    "a schedule": (lambda n: ml.schedulers.Cosine(n, updates=9).initial, 0.5),
    "a rate within another schedule": (lambda n: ml.schedulers.Warmup(n, 3).schedule.rate, 0.5),
    "a factor": (lambda n: ml.schedulers.Step(1.0, 3, n).gamma, 0.5),
    "a time limit": (lambda n: ml.early_stopping.TimeLimit(minutes=n).total, 30.0),
    "a threshold": (lambda n: ml.early_stopping.Threshold(value=n).value, 0.5),
    "a least improvement": (lambda n: ml.early_stopping.NoImprovement(epochs=1, min_delta=n).min_delta, 0.5),
    "minutes": (lambda n: SaveInterval(minutes=n).minutes, 0.5),
    "a beta": (lambda n: ml.metrics.FBetaScore(n).beta, 0.5),
}
ZERO_D_WHOLE = {
    "updates": lambda n: ml.schedulers.Cosine(0.1, updates=n).updates,
    "a warm-up": lambda n: ml.schedulers.Warmup(0.1, n).updates,
    "a boundary": lambda n: ml.schedulers.Piecewise((0.1, 0.2), boundaries=(n,)).boundaries[0],
    "restarts": lambda n: ml.schedulers.Cosine(0.1, period=n, multiplier=2).period,
    "the patience of a rule": lambda n: ml.early_stopping.NoImprovement(epochs=n).epochs,
    "the warm-up of a rule": lambda n: ml.early_stopping.NoImprovement(warmup=n).warmup,
    "the patience of a schedule": lambda n: ml.schedulers.ReduceOnPlateau(0.1, patience=n).patience,
    "a stage": lambda n: ml.schedulers.Sequential((0.1, n)).stages[0][1],
    "accumulation": lambda n: ml.LearnerBuilder("x").grads_accumulation(n)._settings.accumulation,
    "epochs": lambda n: ml.LearnerBuilder("x").num_epochs(n)._settings.epochs,
    "batches": lambda n: SaveInterval(batches=n).batches,
    "a kept number": lambda n: ml.checkpoint.KeepLast(n).n,
    "every so many": lambda n: ml.checkpoint.KeepEvery(n).n,
    "the best so many": lambda n: ml.checkpoint.KeepBest(k=n).k,
    "a batch size": lambda n: len(next(ml.DataLoader(toy.arrays(9), n).iterate(0, 1))[0]),
    "a top k": lambda n: ml.metrics.TopKAccuracy(n).k,
    "a checkpoint": lambda n: int(which_checkpoint(n)),
}


@pytest.mark.parametrize("number", [np.asarray(0.5), np.float16(0.5), Fraction(1, 2), Decimal("0.5")], ids=repr)
@pytest.mark.parametrize("place", ZERO_D)
def test_an_argument_is_a_number_of_any_library(place: str, number: Any) -> None:
    make, expected = ZERO_D[place]
    found = make(number)
    assert type(found) is float and found == expected
    for other in (np.asarray([0.5]), "0.5", True, 1j, np.asarray(True)):
        with pytest.raises(ConfigurationError):
            make(other)


@pytest.mark.parametrize("number", [np.asarray(3), np.uint8(3), Colour.RED], ids=repr)
@pytest.mark.parametrize("place", ZERO_D_WHOLE)
def test_an_argument_is_a_whole_number_of_any_library(place: str, number: Any) -> None:
    found = ZERO_D_WHOLE[place](number)
    assert type(found) is int and found == 3
    for other in (np.asarray(0.5), np.asarray([3]), True, np.asarray(True), 3j):
        with pytest.raises(ConfigurationError):
            ZERO_D_WHOLE[place](other)


def test_a_seed_is_a_whole_number_of_any_library() -> None:
    ml.set_seed(np.asarray(3))  # type: ignore[arg-type]
    assert type(seed.current()) is int and seed.current() == 3
    with pytest.raises(ConfigurationError):
        ml.set_seed(np.asarray(0.5))  # type: ignore[arg-type]
