from __future__ import annotations

import errno
import io
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from multilearn.errors import ConfigurationError, StorageError
from multilearn.events import START, EpochEnded, MetricInfo, Position, Reading, Split, SplitEnded, Started, Stepped
from multilearn.loggers import FileMetricLogger, MemoryMetricLogger, MetricLogger, read_metric_file
from multilearn.loggers import files as files_module

INFOS = (MetricInfo("Loss"), MetricInfo("Top 5"))
BATCHES = 4


def started(directory: Path, position: Position = START) -> Started:
    return Started(directory, 9, position, {Split.TRAIN: BATCHES}, {Split.TRAIN: INFOS, Split.VALID: INFOS[:1]}, {})


def step(split: Split, epoch: int, batch: int) -> Stepped:
    readings = {"Loss": Reading(epoch + batch / 8, 64)}
    if split is Split.TRAIN:
        readings["Top 5"] = Reading(batch / 7)
    return Stepped(split, epoch, batch, batch, 0.1, readings)


def ended(split: Split, epoch: int) -> SplitEnded:
    return SplitEnded(split, epoch, step(split, epoch, 0).readings)


def train(logger: MetricLogger, epochs: range, first_batch: int = 1) -> None:
    """Whole epochs, the first one from `first_batch` on."""
    for epoch in epochs:
        for batch in range(first_batch, BATCHES + 1):
            logger.log(step(Split.TRAIN, epoch, batch))
        first_batch = 1
        logger.log(ended(Split.TRAIN, epoch))
        logger.log(step(Split.VALID, epoch, 1))
        logger.log(ended(Split.VALID, epoch))
        logger.log(EpochEnded(epoch))


def whole_run(directory: Path, epochs: int) -> None:
    logger = FileMetricLogger()
    logger.log(started(directory))
    train(logger, range(1, epochs + 1))
    logger.close()


def contents(directory: Path) -> Mapping[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def open_files() -> set[str]:
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return {os.readlink(link) for link in links if os.path.exists(link)}


def test_a_run_leaves_a_line_per_batch_and_the_epoch_value(tmp_path: Path) -> None:
    whole_run(tmp_path, 1)
    assert contents(tmp_path) == {
        "train/epoch-1/Loss.log": b"1.125,64\n1.25,64\n1.375,64\n1.5,64\n1.0,final\n",
        "train/epoch-1/Top_5.log": f"{1 / 7!r}\n{2 / 7!r}\n{3 / 7!r}\n{4 / 7!r}\n0.0,final\n".encode(),
        "valid/epoch-1/Loss.log": b"1.125,64\n1.0,final\n",
    }


def test_nothing_is_created_before_the_first_reading(tmp_path: Path) -> None:
    logger = FileMetricLogger()
    logger.log(started(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    logger.log(step(Split.TRAIN, 1, 1))
    logger.close()
    assert (tmp_path / "run/train/epoch-1/Loss.log").exists()


@pytest.mark.parametrize("position", [START, Position(1), Position(2), Position(3), Position(4)])
def test_going_on_after_an_epoch_equals_the_whole_run(tmp_path: Path, position: Position) -> None:
    whole_run(tmp_path / "whole", 4)
    whole_run(tmp_path / "two", 4)
    (tmp_path / "two/train/epoch-4/Loss.log").write_bytes(b"torn")
    if position == Position(4):
        (tmp_path / "whole/train/epoch-4/Loss.log").write_bytes(b"torn")
    logger = FileMetricLogger()
    logger.log(started(tmp_path / "two", position))
    kept = {f"{split}/epoch-{n}" for split in ("train", "valid") for n in range(1, position.epoch + 1)}
    assert {str(Path(name).parent) for name in contents(tmp_path / "two")} == kept
    train(logger, range(position.epoch + 1, 5))
    logger.close()
    assert contents(tmp_path / "two") == contents(tmp_path / "whole")


@pytest.mark.parametrize("batch", [1, 2, BATCHES])
def test_going_on_inside_an_epoch_equals_the_whole_run(tmp_path: Path, batch: int) -> None:
    whole_run(tmp_path / "whole", 3)
    whole_run(tmp_path / "two", 3)
    untouched = tmp_path / "two/train/epoch-1/Loss.log"
    untouched.write_bytes(b"as it is")
    logger = FileMetricLogger()
    logger.log(started(tmp_path / "two", Position(2, batch)))
    assert len(read_metric_file(tmp_path / "two/train/epoch-2/Loss.log").values) == batch
    assert read_metric_file(tmp_path / "two/train/epoch-2/Loss.log").final is None
    assert not (tmp_path / "two/valid/epoch-2").exists() and not (tmp_path / "two/train/epoch-3").exists()
    train(logger, range(2, 4), batch + 1)
    logger.close()
    assert untouched.read_bytes() == b"as it is"
    untouched.write_bytes((tmp_path / "whole/train/epoch-1/Loss.log").read_bytes())
    assert contents(tmp_path / "two") == contents(tmp_path / "whole")


def test_what_a_kill_tore_is_cut_and_missing_lines_are_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole_run(tmp_path, 1)
    torn = tmp_path / "train/epoch-1/Loss.log"
    torn.write_bytes(b"1.125,64\n1.25,6")
    logger = FileMetricLogger()
    with caplog.at_level(logging.WARNING, "multilearn"):
        logger.log(started(tmp_path, Position(1, 2)))
    assert torn.read_bytes() == b"1.125,64\n"
    assert [(r.name, r.levelname) for r in caplog.records] == [("multilearn", "WARNING")]
    assert "Loss.log has only 1 of the first 2 batches of epoch 1" in caplog.text


def test_a_final_line_is_no_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole_run(tmp_path, 1)
    FileMetricLogger().log(started(tmp_path, Position(1, BATCHES + 1)))
    assert len(caplog.records) == len(INFOS)
    assert (tmp_path / "train/epoch-1/Loss.log").read_bytes().endswith(b"\n1.5,64\n")


def test_only_our_files_are_removed(tmp_path: Path) -> None:
    whole_run(tmp_path, 2)
    foreign = ["train/epoch-2/notes.txt", "train/epoch-02/Loss.log", "train/other/Loss.log", "test/a/epoch-2/Loss.log"]
    for name in foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "train/epoch-2/folder.log").mkdir()
    FileMetricLogger().log(started(tmp_path))
    assert contents(tmp_path) == dict.fromkeys(foreign, b"mine")
    assert (tmp_path / "train/epoch-2/folder.log").is_dir()
    assert not (tmp_path / "valid/epoch-2").exists()


def test_files_are_open_only_during_their_epoch(tmp_path: Path) -> None:
    before = open_files()
    logger = FileMetricLogger()
    logger.log(started(tmp_path))
    assert open_files() == before
    logger.log(step(Split.TRAIN, 1, 1))
    assert len(open_files() - before) == len(INFOS)
    logger.log(ended(Split.TRAIN, 1))
    assert open_files() == before
    logger.log(step(Split.VALID, 1, 1))
    logger.close()
    logger.close()
    assert open_files() == before


def test_lines_reach_the_disk_with_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_FLUSH_SECONDS", float("inf"))
    path = tmp_path / "train/epoch-1/Loss.log"
    logger = FileMetricLogger()
    logger.log(started(tmp_path))
    logger.log(step(Split.TRAIN, 1, 1))
    assert path.read_bytes() == b""
    logger.flush()
    assert path.read_bytes() == b"1.125,64\n"
    logger.log(step(Split.TRAIN, 1, 2))
    assert path.read_bytes() == b"1.125,64\n"
    logger.close()
    assert path.read_bytes() == b"1.125,64\n1.25,64\n"


def until(true: Callable[[], object]) -> None:
    """Back as soon as it is so; a minute is more than any machine needs."""
    late = time.monotonic() + 60
    while not true():
        assert time.monotonic() < late
        time.sleep(0.01)


def test_lines_reach_the_disk_by_themselves_while_no_batch_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files_module._FLUSH_SECONDS <= 1.0
    monkeypatch.setattr(files_module, "_FLUSH_SECONDS", 0.01)
    path = tmp_path / "train/epoch-1/Loss.log"
    logger = FileMetricLogger()
    logger.log(started(tmp_path))
    for batch in (1, 2):
        logger.log(step(Split.TRAIN, 1, batch))
        until(lambda lines=batch: path.read_bytes().count(b"\n") == lines)
    logger.close()


def test_nothing_is_lost_or_out_of_order_between_the_two_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_FLUSH_SECONDS", 0.0)
    logger = FileMetricLogger()
    logger.log(started(tmp_path))
    for batch in range(1, 20_001):
        logger.log(Stepped(Split.TRAIN, 1, batch, batch, 0.1, {"Loss": Reading(float(batch), 1)}))
    logger.flush()
    assert (tmp_path / "train/epoch-1/Loss.log").read_text() == "".join(f"{n}.0,1\n" for n in range(1, 20_001))
    logger.close()


def test_the_thread_ends_with_the_run(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    logger = FileMetricLogger()
    logger.log(started(tmp_path))
    assert set(threading.enumerate()) == before
    logger.log(step(Split.TRAIN, 1, 1))
    assert {thread.name for thread in set(threading.enumerate()) - before} == {"multilearn-metrics"}
    logger.log(ended(Split.TRAIN, 1))
    logger.close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("then", ["log", "flush", "close"])
def test_what_goes_wrong_beside_the_training_is_raised_by_the_next_call_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def on_a_full_disk(descriptor: int, mode: str, buffering: int) -> io.FileIO:
        if os.path.samestat(os.fstat(descriptor), os.stat(tmp_path / "train/epoch-1/Loss.log")):
            os.dup2(full.fileno(), descriptor)
        return io.FileIO(descriptor, mode)

    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(files_module, "open", on_a_full_disk, raising=False)
    logger = FileMetricLogger()
    logger.log(started(tmp_path, Position(1, 1)))
    monkeypatch.setattr(files_module, "_FLUSH_SECONDS", 0.01)
    logger.log(step(Split.TRAIN, 1, 2))
    thread = next(thread for thread in threading.enumerate() if thread.name == "multilearn-metrics")
    thread.join(60)
    with pytest.raises(StorageError, match="room for what a run writes") as raised:
        {"log": lambda: logger.log(step(Split.TRAIN, 1, 3)), "flush": logger.flush, "close": logger.close}[then]()
    assert raised.value.errno == errno.ENOSPC
    logger.close()
    full.close()
    # what the other file was to hold is there all the same
    assert (tmp_path / "train/epoch-1/Top_5.log").read_text() == f"{2 / 7!r}\n"


def test_a_logger_serves_a_second_run(tmp_path: Path) -> None:
    logger = FileMetricLogger()
    for name in ("a", "b"):
        logger.log(started(tmp_path / name))
        train(logger, range(1, 3))
        logger.close()
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != {}


def test_a_reading_outside_of_a_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Started"):
        FileMetricLogger().log(step(Split.TRAIN, 1, 1))


def test_memory_keeps_what_the_files_would_hold(tmp_path: Path) -> None:
    logger = MemoryMetricLogger()
    logger.log(started(tmp_path))
    train(logger, range(1, 3))
    logger.close()
    assert logger.epochs[Split.TRAIN]["Loss"] == {1: 1.0, 2: 2.0}
    assert logger.batches[Split.TRAIN]["Loss"] == {1: [1.125, 1.25, 1.375, 1.5], 2: [2.125, 2.25, 2.375, 2.5]}
    assert logger.epochs[Split.VALID] == {"Loss": {1: 1.0, 2: 2.0}}


def test_memory_goes_back_to_where_a_run_goes_on(tmp_path: Path) -> None:
    logger = MemoryMetricLogger()
    logger.log(started(tmp_path))
    train(logger, range(1, 4))
    logger.log(started(tmp_path, Position(2, 3)))
    assert logger.epochs == {
        Split.TRAIN: {"Loss": {1: 1.0}, "Top 5": {1: 0.0}},
        Split.VALID: {"Loss": {1: 1.0}},
    }
    assert logger.batches[Split.TRAIN]["Loss"] == {1: [1.125, 1.25, 1.375, 1.5], 2: [2.125, 2.25, 2.375]}
    assert logger.batches[Split.VALID]["Loss"] == {1: [1.125]}


def test_both_are_metric_loggers() -> None:
    assert isinstance(FileMetricLogger(), MetricLogger) and isinstance(MemoryMetricLogger(), MetricLogger)
