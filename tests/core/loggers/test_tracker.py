"""What all trackers have in common, with one that keeps its points: threads, order, faults, identity, settings."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import toy_experiment as toy
from support.tracked import of_batches, of_epochs

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn.events import Attached, Evaluating, Position, Started
from multilearn.loggers import FileMetricLogger, MemoryMetricLogger, MetricLogger, TensorBoardLogger, tracker
from multilearn.loggers.points import Point
from multilearn.loggers.tracked_run import TrackedRun
from multilearn.loggers.tracker import OpenRun, Status, TrackerLogger


@dataclass
class Kept(OpenRun):
    """Of an open run what came, in order. `fault` is raised by the point of that number."""

    place: str = "a list"
    fault: int | None = None
    seconds: float = 0.0
    points: list[Point] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    released: int = 0

    def log(self, point: Point) -> None:
        time.sleep(self.seconds)
        if len(self.points) == self.fault:
            raise ConnectionError("the server\nis away")
        self.points.append(point)
        self.threads.add(threading.current_thread().name)

    def attach(self, attached: Attached, update: int) -> None: ...

    def flush(self) -> None: ...

    def end(self, status: Status) -> None:
        self.statuses.append(status)

    def release(self) -> None:
        self.released += 1


@dataclass
class KeepingLogger(TrackerLogger):
    """Its run is `kept`."""

    tracker = "tensorboard"
    library = "json"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kept = Kept()
        self.runs: list[TrackedRun] = []

    def open(self, run: TrackedRun) -> OpenRun:
        self.runs.append(run)
        return self.kept


def tracked(directory: Path, logger: MetricLogger, epochs: int = 3) -> ml.LearnerBuilder:
    return toy.builder(directory, epochs).metric_loggers(FileMetricLogger(), logger)


def warnings_in(directory: Path) -> list[str]:
    return [line for line in (directory / "experiment.log").read_text().splitlines() if " WARNING " in line]


def test_it_gets_all_points_in_order_from_one_thread_that_ends_with_the_run(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    logger = KeepingLogger(2)
    toy.fit(tracked(tmp_path, logger))
    assert set(threading.enumerate()) == before
    points = logger.kept.points
    assert logger.kept.threads == {"multilearn-tensorboard"}
    found = {p.update: p.values["Loss"] for p in points if not p.of_epoch}
    assert found == pytest.approx(dict(of_batches(tmp_path, 2)))
    for split in ("train", "valid"):
        found = [(p.epoch, p.values["Loss"]) for p in points if p.of_epoch and p.split == split]
        assert found == of_epochs(tmp_path, split)
    assert [point.update for point in points] == sorted(point.update for point in points)
    assert (logger.kept.statuses, logger.kept.released) == (["finished"], 1)
    assert "INFO multilearn A KeepingLogger logs into a list." in (tmp_path / "experiment.log").read_text()


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (lambda described: toy.stopped(described, 2, 1), "stopped"),
        (lambda described: toy.fit(described.early_stopping(ml.early_stopping.TimeLimit(seconds=1e-6))), "finished"),
    ],
    ids=["by a signal or a thread", "by a rule"],
)
def test_the_status_is_how_the_run_ended(tmp_path: Path, run: object, status: Status) -> None:
    logger = KeepingLogger()
    run(tracked(tmp_path, logger))  # type: ignore[operator]
    assert logger.kept.statuses == [status]


def test_a_run_that_fails_has_failed(tmp_path: Path) -> None:
    logger = KeepingLogger()
    with pytest.raises(RuntimeError, match="enough"):
        toy.fit(tracked(tmp_path, logger), toy.failing(2, 1, RuntimeError("enough")))
    assert logger.kept.statuses == ["failed"]


def test_a_fault_is_one_warning_and_the_run_completes(tmp_path: Path) -> None:
    logger = KeepingLogger(1)
    logger.kept.fault = 3
    before = set(threading.enumerate())
    learner = toy.fit(tracked(tmp_path, logger))
    assert learner.stopped_by is None
    (warning,) = warnings_in(tmp_path)
    remedy = f"multilearn export {tmp_path} --to tensorboard"
    assert "KeepingLogger has failed: ConnectionError: the server is away. The run continues without it." in warning
    assert warning.endswith(f"What is missing: {remedy}")
    assert len(logger.kept.points) == 3
    assert (logger.kept.statuses, logger.kept.released) == ([], 1)
    assert set(threading.enumerate()) == before


def test_a_logger_is_used_again_after_a_fault(tmp_path: Path) -> None:
    logger = KeepingLogger(1)
    logger.kept.fault = 0
    toy.fit(tracked(tmp_path / "a", logger))
    logger.kept = Kept()
    toy.fit(tracked(tmp_path / "b", logger))
    assert len(logger.kept.points) == 15 + 6


def test_close_waits_so_long_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "_PATIENCE", 0.2)
    logger = KeepingLogger(1)
    logger.kept.seconds = 0.15
    begun = time.monotonic()
    toy.fit(tracked(tmp_path, logger))
    assert time.monotonic() - begun < 10
    (warning,) = warnings_in(tmp_path)
    assert "it did not take all" in warning
    (left,) = [thread for thread in threading.enumerate() if thread.name == "multilearn-tensorboard"]
    left.join(10)
    assert not left.is_alive()


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "_WAITING", 4)
    logger = KeepingLogger(1)
    toy.fit(tracked(tmp_path, logger))
    (warning,) = warnings_in(tmp_path)
    assert "it does not keep up, 4 events are waiting" in warning


def test_a_resumed_run_gives_it_all_points_from_the_beginning(tmp_path: Path) -> None:
    whole, resumed = KeepingLogger(3), KeepingLogger(3)
    toy.fit(tracked(tmp_path / "whole", whole))
    toy.stopped(tracked(tmp_path / "run", KeepingLogger(3)), 2, 2)
    toy.fit(tracked(tmp_path / "run", resumed).checkpoint("latest"))
    assert resumed.kept.points == whole.kept.points
    assert resumed.runs[0].position == Position(2, 3)
    assert resumed.runs[0].update == 8


def test_its_library_is_asked_for_when_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Missing(KeepingLogger):
        tracker = "wandb"
        library = "a_library_of_none"

    with pytest.raises(ConfigurationError) as refused:
        Missing()
    assert str(refused.value) == (
        "A Missing needs a_library_of_none. Received: an environment without it. "
        "Install it with: pip install 'multilearn-keras[wandb]'"
    )
    # wandb leaves a folder of its name in the current directory
    (tmp_path / "a_library_of_none").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="without it"):
        Missing()


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2", None])
def test_every_is_a_whole_number_of_updates(every: object) -> None:
    with pytest.raises(ConfigurationError, match="every must be a whole number of at least 1"):
        TensorBoardLogger(every=every)  # type: ignore[arg-type]


def test_it_logs_no_evaluations_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = KeepingLogger()
    with caplog.at_level(logging.INFO, logger="multilearn"):
        logger.log(Evaluating(tmp_path, "test", None, 1, ()))
        logger.close()
    assert "A KeepingLogger logs no evaluations." in caplog.text


def test_trackers_without_metric_files_are_warned_of(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path).metric_loggers(KeepingLogger()))
    (warning,) = warnings_in(tmp_path)
    assert "No metric files are written" in warning
    toy.fit(toy.builder(tmp_path / "memory").metric_loggers(MemoryMetricLogger()))
    assert not warnings_in(tmp_path / "memory")


def test_settings_are_those_of_experiment_json(tmp_path: Path) -> None:
    logger = KeepingLogger()
    toy.fit(tracked(tmp_path, logger).grads_accumulation(2))
    (run,) = logger.runs
    assert run.settings["seed"] == toy.SEED
    assert run.settings["backend"] == "toy"
    assert run.settings["builder.grads_accumulation"] == 2
    assert run.accumulation == 2
    assert not [name for name in run.settings if name.startswith(("builder.metric", "builder.directory"))]
    assert all(isinstance(value, str | int | float | bool) for value in run.settings.values())
    assert run.tags == {"directory": str(tmp_path)}


def test_which_run_it_is_stays_in_the_directory(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path, KeepingLogger()))
    run = TrackedRun.of(_started(tmp_path))
    assert run.known("mlflow") == []
    run.remember("mlflow", run="a")
    run.remember("wandb", id="x")
    run.remember("mlflow", run="b")
    run.remember("mlflow", run="a")
    assert [each["run"] for each in run.known("mlflow")] == ["a", "b"]
    assert run.known("wandb") == [{"id": "x", "settings": run.digest}]
    toy.fit(toy.builder(tmp_path, overwrite=True))
    assert run.known("mlflow") == []


@pytest.mark.parametrize("content", ["[]", "{}", '{"mlflow": 3}', '{"mlflow": [3, {"run": 4}]}'])
def test_anything_else_in_trackers_json_is_ignored(tmp_path: Path, content: str) -> None:
    toy.fit(tracked(tmp_path, KeepingLogger()))
    (tmp_path / "trackers.json").write_text(content)
    run = TrackedRun.of(_started(tmp_path))
    assert run.known("mlflow") == []
    run.remember("mlflow", run="a")
    assert [each["run"] for each in run.known("mlflow")] == ["a"]


def test_a_link_in_the_place_of_trackers_json_is_not_followed(tmp_path: Path) -> None:
    toy.fit(tracked(tmp_path / "run", KeepingLogger()))
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps({"mlflow": [{"run": "theirs"}]}))
    (tmp_path / "run" / "trackers.json").symlink_to(outside)
    with pytest.raises(OSError, match=r"link"):
        TrackedRun.of(_started(tmp_path / "run")).known("mlflow")
    assert json.loads(outside.read_text()) == {"mlflow": [{"run": "theirs"}]}


def test_runs_of_different_settings_have_different_digests(tmp_path: Path) -> None:
    for name, accumulation, epochs in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        toy.fit(toy.builder(tmp_path / name, epochs).grads_accumulation(accumulation))
    a, b, c = (TrackedRun.of(_started(tmp_path / name)).digest for name in "abc")
    assert a == b != c


def _started(directory: Path) -> Started:
    return Started(directory, 1, Position(0), {}, {}, {})
