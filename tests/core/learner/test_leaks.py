"""`fit` leaves nothing behind: threads, signal handlers, logging, open files are as they were, however it ended."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import NonFiniteLoss
from multilearn.events import Finished

HAS_PROC = os.path.isdir("/proc/self/fd")


def loggers() -> dict[str, Any]:
    """What can be set on every logger there is."""
    known = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    return {
        each.name: (list(each.handlers), list(each.filters), each.level, each.propagate, each.disabled)
        for each in known
    }


def open_files() -> list[str]:
    if not HAS_PROC:
        return []
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return sorted(found)


def state() -> dict[str, Any]:
    """All that is shared by everything in a process."""
    return {
        "threads": threading.enumerate(),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
        "loggers": loggers(),
        "record factory": logging.getLogRecordFactory(),
        "last resort": logging.lastResort,
        "files": open_files(),
        "directory": os.getcwd(),
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr),
    }


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[Path]:
    """A directory for a run after which everything must be as it was before."""
    toy.fit(toy.builder(tmp_path / "before", 1))  # what is made once per process is made now
    before = state()
    yield tmp_path / "run"
    assert state() == before
    assert not (tmp_path / "run/.lock").exists()


def test_after_a_completed_run_everything_is_as_before(unchanged: Path) -> None:
    inside: list[Any] = []
    look = toy.Recorded(lambda event: inside.append(state()))
    toy.fit(toy.builder(unchanged).metric_loggers(ml.loggers.FileMetricLogger(), look))
    # not because there was nothing to put back
    assert any(thread.name.startswith("multilearn") for each in inside for thread in each["threads"])
    assert inside[0]["signals"][signal.SIGINT] is not signal.getsignal(signal.SIGINT)
    assert inside[0]["record factory"] is not logging.getLogRecordFactory()
    if HAS_PROC:
        assert any("experiment.log" in name for name in inside[0]["files"])
        assert any("Loss.log" in name for each in inside for name in each["files"])


def test_after_a_run_on_the_screen_everything_is_as_before(unchanged: Path) -> None:
    toy.fit(toy.builder(unchanged).renderer(ml.renderers.CliRenderer()).summary())


@pytest.mark.parametrize(
    ("number", "split", "at", "place"),
    [(signal.SIGINT, "train", (2, 3), "2.4"), (signal.SIGTERM, "valid", (2, 1), "2.5")],
    ids=["SIGINT in training", "SIGTERM in validation"],
)
def test_after_an_interruption_everything_is_as_before(
    unchanged: Path, number: signal.Signals, split: str, at: tuple[int, int], place: str
) -> None:
    loaders = {"train": toy.train_loader(), "valid": toy.valid_loader()}
    loaders[split] = toy.Watched(loaders[split], lambda *batch: batch == at and os.kill(os.getpid(), number))
    assert toy.fit(toy.builder(unchanged), **loaders).stopped_by == number.name
    assert toy.checkpoints(unchanged)[-1] == place


@pytest.mark.parametrize(
    ("second", "raised", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)],
)
def test_the_second_signal_raises_at_once(unchanged: Path, second: Any, raised: type, code: int | None) -> None:
    def hurry(epoch: int, number: int) -> None:
        if (epoch, number) == (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), second)

    with pytest.raises(raised) as caught:
        toy.fit(toy.builder(unchanged), toy.Watched(toy.train_loader(), hurry))
    assert getattr(caught.value, "code", None) == code
    assert toy.checkpoints(unchanged) == ["1"]


def test_after_an_error_in_the_data_everything_is_as_before(unchanged: Path) -> None:
    with pytest.raises(OSError, match="the data went away"):
        toy.fit(toy.builder(unchanged), toy.failing(2, 3, OSError("the data went away")))


def test_after_a_diverged_run_everything_is_as_before(unchanged: Path) -> None:
    x, y = toy.arrays(35)
    learner = toy.build(toy.builder(unchanged))
    with pytest.raises(NonFiniteLoss):
        learner.fit(ml.DataLoader((x * float("nan"), y), 8))
    assert not learner._run.subject.task.model.busy


@pytest.mark.parametrize("kind", ["Started", "Stepped", "SplitEnded", "EpochEnded", "Saved", "Finished"])
def test_a_logger_that_raises_stops_the_run_with_its_error_and_the_others_are_closed(
    unchanged: Path, kind: str
) -> None:
    def fail(event: Any) -> None:
        if type(event).__name__ == kind:
            raise RuntimeError(f"no room for {kind}")

    failing, other = toy.Recorded(fail), toy.Recorded()
    with pytest.raises(RuntimeError, match=f"no room for {kind}"):
        toy.fit(toy.builder(unchanged).metric_loggers(ml.loggers.FileMetricLogger(), failing, other))
    assert (failing.closed, other.closed) == (1, 1)
    *before, last = other.events
    assert kind not in {type(event).__name__ for event in before}
    assert (type(last).__name__, last.error) == ("Finished", f"RuntimeError: no room for {kind}")
    assert f'"error": "RuntimeError: no room for {kind}"' in (unchanged / "experiment.json").read_text()


@pytest.mark.parametrize("kind", ["Started", "Stepped", "Finished"])
def test_a_renderer_that_raises_stops_the_run_with_its_error_and_is_closed(unchanged: Path, kind: str) -> None:
    class Screen(ml.renderers.SilentRenderer):
        closed = 0

        def render(self, event: Any) -> None:
            if type(event).__name__ == kind:
                raise RuntimeError("the screen went black")

        def close(self) -> None:
            self.closed += 1

    screen = Screen()
    with pytest.raises(RuntimeError, match="the screen went black"):
        toy.fit(toy.builder(unchanged).renderer(screen))
    assert screen.closed >= 1


def test_a_logger_that_fails_in_close_fails_the_run_and_the_others_are_closed(unchanged: Path) -> None:
    class Failing(toy.Recorded):
        def close(self) -> None:
            super().close()
            raise RuntimeError("cannot be closed")

    first, failing, last = toy.Recorded(), Failing(), toy.Recorded()
    described = toy.builder(unchanged).metric_loggers(first, failing, ml.loggers.FileMetricLogger(), last)
    with pytest.raises(RuntimeError, match="cannot be closed"):
        toy.fit(described)
    assert (first.closed, failing.closed, last.closed) == (1, 1, 1)
    # what was trained is on disk all the same, and the run is not called completed
    assert toy.checkpoints(unchanged) == ["2", "3"]
    assert '"outcome": "failed"' in (unchanged / "experiment.json").read_text()


def test_a_logger_that_fails_in_flush_at_a_stop_leaves_nothing_behind(unchanged: Path) -> None:
    class Failing(toy.Recorded):
        def flush(self) -> None:
            raise RuntimeError("cannot be flushed")

    with pytest.raises(RuntimeError, match="cannot be flushed"):
        toy.stopped(toy.builder(unchanged).metric_loggers(Failing()), 2, 2)
    assert toy.checkpoints(unchanged) == ["1"]


def test_a_checkpoint_that_cannot_be_written_fails_the_run(unchanged: Path) -> None:
    class NoRoom(ml.checkpoint.MpkGzRecorder):
        def write(self, *args: Any) -> int:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        toy.fit(toy.builder(unchanged).with_file_checkpointer(NoRoom()))
    assert toy.checkpoints(unchanged) == []
    assert '"outcome": "failed"' in (unchanged / "experiment.json").read_text()


def test_after_a_refusal_in_fit_everything_is_as_before_and_nothing_was_made(unchanged: Path) -> None:
    x, y = toy.arrays(35)
    learner = toy.build(toy.builder(unchanged))
    with pytest.raises(ValueError, match="Labels"):
        learner.fit(ml.DataLoader((x, y + 1), 8))
    assert not unchanged.exists()
    assert not learner._run.subject.task.model.busy


def test_handlers_of_the_users_own_are_put_back_and_not_called(unchanged: Path) -> None:
    called: list[int] = []
    found = signal.signal(signal.SIGINT, lambda number, frame: called.append(number))
    mine = signal.getsignal(signal.SIGINT)
    try:
        train = toy.Watched(toy.train_loader(), lambda *at: at == (2, 3) and os.kill(os.getpid(), signal.SIGINT))
        toy.fit(toy.builder(unchanged), train)
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, found)
    assert called == []


def test_off_the_main_thread_no_handler_is_installed_and_the_run_goes_through(unchanged: Path) -> None:
    handlers: list[Any] = []
    before = signal.getsignal(signal.SIGINT)
    look = toy.Recorded(lambda event: handlers.append(signal.getsignal(signal.SIGINT)))
    learners: list[ml.Learner] = []
    thread = threading.Thread(target=lambda: learners.append(toy.fit(toy.builder(unchanged).metric_loggers(look))))
    thread.start()
    thread.join()
    assert learners[0].stopped_by is None
    assert set(handlers) == {before}


def test_the_users_own_warnings_still_appear_on_stderr(tmp_path: Path, environment: dict[str, str]) -> None:
    script = f"""
import gc
import logging
from support import toy_experiment as toy
train = toy.Watched(toy.train_loader(), lambda *at: at == (1, 2) and logging.warning("mind the gap"))
toy.fit(toy.builder({str(tmp_path / "run")!r}, 1), train)
logging.warning("after")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "WARNING:root:mind the gap\nWARNING:root:after\n"
    assert "WARNING root mind the gap" in (tmp_path / "run/experiment.log").read_text()


class Weighing:
    """Looks at the objects there are, and at the bytes in use, when a run is about to return."""

    objects = memory = 0

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def log(self, event: Any) -> None:
        if isinstance(event, Finished):
            gc.collect()
            self.objects, self.memory = len(gc.get_objects()), tracemalloc.get_traced_memory()[0]


def weighed(directory: Path, epochs: int, **options: Any) -> Weighing:
    logger = Weighing()
    builder = ml.LearnerBuilder(directory).num_epochs(epochs).metrics(ml.metrics.Loss(), ml.metrics.Accuracy())
    builder = builder.metric_loggers(logger).renderer(ml.renderers.SilentRenderer())
    for name, value in options.items():
        builder = getattr(builder, name)(**value)
    toy.build(builder).fit(ml.DataLoader(toy.arrays(700), 350, shuffle=True), toy.valid_loader())
    return logger


@pytest.mark.parametrize(
    ("epochs", "options"),
    [(20, {"restore_best": {}}), (5, {"with_file_checkpointer": {}, "checkpoint_every": {"batches": 1}})],
    ids=["plain", "saving much"],
)
def test_more_epochs_take_no_more_memory(tmp_path: Path, epochs: int, options: dict[str, Any]) -> None:
    tracemalloc.start()
    try:
        # the first runs fill what the interpreter keeps for good, which says nothing of the number of epochs
        for warm in ("warm", "warmer"):
            weighed(tmp_path / warm, 2 + epochs, **options)
        few = weighed(tmp_path / "few", 2, **options)
        many = weighed(tmp_path / "many", 2 + epochs, **options)
    finally:
        tracemalloc.stop()
    # of an epoch its values stay, and nothing else: its batches alone take 14 kB
    assert many.objects - few.objects < epochs
    assert many.memory - few.memory < epochs * 2000


def test_learners_of_one_builder_leak_nothing_into_each_other(tmp_path: Path) -> None:
    memory = ml.loggers.MemoryMetricLogger()
    builder = (
        toy.builder(tmp_path / "{seed}", 3)
        .metric_loggers(ml.loggers.FileMetricLogger(), memory)
        .early_stopping(ml.early_stopping.NoImprovement("Loss", "train", epochs=3))
        .restore_best()
        .summary()
    )
    found = []
    for directory in ("a", "b"):
        ml.set_seed(toy.SEED)
        first, other = (builder.build(toy.task(), toy.Momentum(), 0.1) for _ in range(2))
        del other  # built, and never fitted
        first.fit(toy.train_loader(), toy.valid_loader())
        found.append((first.history, toy.weights(first), first.stopped_by, first.restored, memory.epochs))
        os.rename(first.directory, tmp_path / directory)
    assert found[0][:4] == found[1][:4]
    assert toy.metric_files(tmp_path / "a") == toy.metric_files(tmp_path / "b")
    assert toy.checkpoint_files(tmp_path / "a") == toy.checkpoint_files(tmp_path / "b")
