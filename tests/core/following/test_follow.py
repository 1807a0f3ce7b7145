"""A run read back from its directory: the events that its listeners had received."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import DirectoryError, RecordError
from multilearn.events import (
    Attached,
    EpochEnded,
    Event,
    Finished,
    Position,
    Reading,
    Saved,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.following.follow import KILLED, follow
from multilearn.loggers import FileMetricLogger, MemoryMetricLogger


def logged(directory: Path, *loggers: ml.loggers.MetricLogger, epochs: int = 3) -> ml.LearnerBuilder:
    return toy.builder(directory, epochs).metric_loggers(FileMetricLogger(), *loggers)


def as_kept(events: Sequence[Event]) -> list[Event]:
    """Without what no file has: values so far, items, the rate of a batch; checkpoints are saved by another thread."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Started | Saved):
            continue
        if isinstance(event, Stepped):
            readings = {name: Reading(r.value, r.count) for name, r in event.readings.items()}
            event = replace(event, readings=readings, items=None, learning_rate=None)
        elif isinstance(event, SplitEnded):
            event = replace(event, readings={name: Reading(r.value) for name, r in event.readings.items()})
        kept.append(event)
    return kept


def in_memory(events: Sequence[Event]) -> MemoryMetricLogger:
    memory = MemoryMetricLogger()
    for event in events:
        memory.log(event)
    return memory


class Followed(threading.Thread):
    """A run that is followed from now on, by another thread."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._directory = directory
        self.start()

    def run(self) -> None:
        self.events += follow(self._directory, every=0.002)

    def until_end(self) -> list[Event]:
        self.join(60)
        assert not self.is_alive()
        return self.events


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_a_finished_run_gives_what_its_listeners_received(tmp_path: Path, accumulation: int) -> None:
    live = toy.Recorded()
    toy.fit(logged(tmp_path, live).grads_accumulation(accumulation))
    events = list(follow(tmp_path))
    assert as_kept(events) == as_kept(live.events)
    started = live.of(Started)[0]
    assert events[0] == replace(started, history={}, update=0)
    assert [event for event in events if isinstance(event, Saved)] == [Saved(Position(n)) for n in (1, 2, 3)]


def test_the_rate_of_a_batch_is_that_which_was_logged(tmp_path: Path) -> None:
    live = toy.Recorded()
    toy.fit(logged(tmp_path, live).metric_train_numeric(ml.metrics.LearningRate()))
    rates = [(event.split, event.learning_rate) for event in follow(tmp_path) if isinstance(event, Stepped)]
    assert rates == [(event.split, event.learning_rate) for event in live.of(Stepped)]


def test_of_means_the_value_so_far_is_known(tmp_path: Path) -> None:
    live = toy.Recorded()
    toy.fit(logged(tmp_path, live))
    found = [event for event in follow(tmp_path) if isinstance(event, Stepped)]
    for event, expected in zip(found, live.of(Stepped), strict=True):
        for name, reading in expected.readings.items():
            assert event.readings[name].running == pytest.approx(reading.running, rel=1e-12)


def test_a_run_is_followed_while_it_is_written(tmp_path: Path) -> None:
    live, threads = toy.Recorded(), []

    def begin(epoch: int, number: int) -> None:
        if not threads and number == 1:
            threads.append(Followed(tmp_path))
        time.sleep(0.005)

    toy.fit(logged(tmp_path, live), train=toy.Watched(toy.train_loader(), begin))
    assert as_kept(threads[0].until_end()) == as_kept(live.events)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_run_resumed_inside_an_epoch_is_one(tmp_path: Path, split: str) -> None:
    whole = MemoryMetricLogger()
    toy.stopped(logged(tmp_path, whole), 2, 2, split)
    assert list(follow(tmp_path))[-1] == Finished(Position(2, 3 if split == "train" else 5), "enough")
    toy.fit(logged(tmp_path, whole).checkpoint("latest"))
    events = list(follow(tmp_path))
    found = in_memory(events)
    assert (found.epochs, found.batches) == (whole.epochs, whole.batches)
    updates = [event.update for event in events if isinstance(event, Stepped) and event.split == "train"]
    assert updates == list(range(1, 16))
    assert events[-1] == Finished(Position(3))


def test_a_run_that_goes_back_while_it_is_followed_begins_again(tmp_path: Path) -> None:
    kept = ml.checkpoint.KeepLast(9)
    toy.fit(logged(tmp_path).with_checkpointing_strategy(kept))
    following = follow(tmp_path, every=0.002)
    seen = [next(following) for _ in range(20)]
    again, memory = logged(tmp_path, epochs=4).checkpoint(1), MemoryMetricLogger()
    toy.fit(again.with_checkpointing_strategy(kept).metric_loggers(FileMetricLogger(), memory))
    events = [*seen, *following]
    assert sum(isinstance(event, Started) for event in events) == 2
    found = in_memory(events)
    assert found.epochs["train"]["Loss"].keys() == {1, 2, 3, 4}
    assert found.epochs["valid"]["Loss"][4] == memory.epochs["valid"]["Loss"][4]
    assert isinstance(events[-1], Finished) and events[-1].position == Position(4)


KILLED_RUN = """
import sys, time
from support import toy_experiment as toy

def at(epoch, number):
    time.sleep(0.15 if epoch == 2 else 0)  # steps are reported after 100 ms
    if (epoch, number) == (2, 3):
        sys.stdin.read()
toy.fit(toy.builder(sys.argv[1]), train=toy.Watched(toy.train_loader(), at))
"""


def test_a_killed_run_ends_with_that(tmp_path: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path / "run")], env=environment, stdin=subprocess.PIPE
    )
    file = tmp_path / "run/train/epoch-2/Loss.log"
    wait_for(lambda: file.is_file() and file.stat().st_size > 0)
    following = follow(tmp_path / "run", every=0.01)
    first = next(following)
    assert isinstance(first, Started)
    assert not any(isinstance(event, Finished) for event in follow(tmp_path / "run", wait=False))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    events = list(following)
    assert events[-1].error == KILLED and events[-1].position.epoch == 2
    assert [event.epoch for event in events if isinstance(event, EpochEnded)] == [1]
    assert process.stdin is not None
    process.stdin.close()


def test_a_metric_without_a_file_holds_up_nothing_in_a_run_that_has_ended(tmp_path: Path) -> None:
    toy.fit(logged(tmp_path, epochs=2))
    for split in ("train", "valid"):
        (tmp_path / split / "epoch-2/Accuracy.log").unlink()
    ends = [
        (event.epoch, event.split, len(event.readings)) for event in follow(tmp_path) if isinstance(event, SplitEnded)
    ]
    assert ends == [(1, "train", 2), (1, "valid", 2), (2, "train", 1), (2, "valid", 1)]


def test_a_failed_run_ends_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        toy.fit(logged(tmp_path), train=toy.failing(2, 1, ZeroDivisionError("by zero")))
    assert list(follow(tmp_path))[-1] == Finished(Position(2, 1), error="ZeroDivisionError: by zero")


def test_texts_and_numbers_that_are_none_come_back(tmp_path: Path) -> None:
    whole = MemoryMetricLogger()
    described = logged(tmp_path, whole, epochs=2).metric_valid(ml.metrics.ConfusionMatrix(classes=3))
    toy.fit(described.metric_train_numeric(ml.metrics.GpuUse()))
    found = in_memory(list(follow(tmp_path)))
    assert (found.epochs, found.batches) == (whole.epochs, whole.batches)


def test_a_run_without_metric_files_has_a_beginning_and_an_end(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path).metric_loggers())
    events = [event for event in follow(tmp_path) if not isinstance(event, Saved)]
    assert [type(event) for event in events] == [Started, Finished]


def test_many_batches_of_unlike_lengths_stay_together(tmp_path: Path) -> None:
    """Files are read in parts of 1 MiB, which hold other numbers of lines of each."""
    toy.fit(logged(tmp_path, epochs=1))
    count = 60_000
    rng = np.random.default_rng(0)
    losses = rng.random(count)
    folder = tmp_path / "train/epoch-1"
    (folder / "Loss.log").write_text("".join(f"{loss!r},{64}\n" for loss in losses.tolist()) + "0.5,final\n")
    (folder / "Accuracy.log").write_text("".join(f"{float(i)!r},8\n" for i in range(count)) + "0.5,final\n")
    steps = [event for event in follow(tmp_path) if isinstance(event, Stepped) and event.split == "train"]
    assert [event.readings["Accuracy"].value for event in steps] == list(range(count))
    assert [event.readings["Loss"].value for event in steps] == losses.tolist()
    assert [event.batch for event in steps] == list(range(1, count + 1))


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds experiment\.json\. Received: .*nowhere \(no such directory\)"):
        follow(tmp_path / "nowhere")
    toy.fit(logged(tmp_path, epochs=1))
    for lines in ("1.0,2,3\n", "1.0,8\ngarbage\n", "1.0,8\n1.0,final\n1.0,8\n"):
        (tmp_path / "train/epoch-1/Loss.log").write_text(lines)
        with pytest.raises(RecordError, match=r"Loss\.log: b'"):
            list(follow(tmp_path))


def test_a_file_in_the_place_of_an_attachment_is_ignored_if_it_is_too_large(tmp_path: Path) -> None:
    toy.fit(logged(tmp_path, epochs=1).on_epoch(lambda report: report.log_text("a", "b")))
    with (tmp_path / "attachments/epoch-1/huge.png").open("wb") as file:
        file.truncate(1 << 30)
    assert [event.name for event in follow(tmp_path) if isinstance(event, Attached)] == ["a"]


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
