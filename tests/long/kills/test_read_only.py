"""What may not be written is said before anything else, and costs nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.checking import expect_equal_runs, expect_nothing_lost
from support.processes import files
from support.running import Ended, Order, Warm, Whole
from support.wire import Fault

from multilearn.checkpoint import CheckpointFolder

HEEDING = Order(heeds_permissions=True)


def expect_refused(ended: Ended, *parts: str) -> None:
    assert ended.error, ended.said
    assert "DirectoryError" in ended.error["kinds"]
    for part in ("must be writable", "Received: ", *parts):
        assert part in ended.error["says"]


@pytest.mark.parametrize("part", [".", "checkpoint", "train", "valid", "experiment.log"])
def test_what_is_read_only_is_refused_before_anything_is_touched(
    warm: Warm, whole: Whole, stopped: Path, tmp_path: Path, part: str
) -> None:
    run = shutil.copytree(stopped, tmp_path / "run")
    before, mode = files(run), (run / part).stat().st_mode
    (run / part).chmod(mode & 0o555)
    ended = warm.train(run, HEEDING)
    expect_refused(ended, "permissions", str(run if part == "." else run / part))
    assert files(run) == before
    (run / part).chmod(mode)
    expect_equal_runs(run, warm.train(run, HEEDING), whole.directory, whole.ended)


def test_a_new_directory_in_a_read_only_one_is_refused(warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir(mode=0o555)
    expect_refused(warm.train(tmp_path / "place/a/run", HEEDING), "permissions")
    (tmp_path / "place").chmod(0o755)
    assert not list((tmp_path / "place").iterdir())


def test_the_metric_files_of_a_half_trained_epoch_that_may_not_be_removed_stop_the_run(
    warm: Warm, whole: Whole, stopped: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(stopped, tmp_path / "run")
    before = CheckpointFolder(run / "checkpoint").positions()
    folder = run / "valid/epoch-3"
    folder.mkdir(exist_ok=True)
    (folder / "Loss.log").write_text("0.5,16\n")
    folder.chmod(0o555)
    ended = warm.train(run, HEEDING)
    assert ended.error and "StorageError" in ended.error["kinds"], ended.said
    assert f"{folder}/Loss.log: Permission denied" in ended.error["says"]
    assert not (run / ".lock").exists() and CheckpointFolder(run / "checkpoint").positions() == before
    folder.chmod(0o755)
    expect_equal_runs(run, warm.train(run, HEEDING), whole.directory, whole.ended)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("open", "record", 7, "locked"),
        Fault("rename", "record", 8, "locked"),
        Fault("rename", "manifest", 9, "locked"),
        Fault("open", "metrics", 6, "locked"),
        Fault("rename", "experiment", 2, "locked"),
    ],
    ids=str,
)
def test_what_becomes_read_only_in_the_middle_of_a_run_costs_nothing_that_was_saved(
    warm: Warm, whole: Whole, tmp_path: Path, fault: Fault
) -> None:
    run = tmp_path / "run"
    ended = warm.train(run, Order(fault, heeds_permissions=True))
    assert ended.error and {"StorageError", "OSError"} <= set(ended.error["kinds"]), ended.said
    assert "must be writable" in ended.error["says"] and "Permission denied" in ended.error["says"]
    expect_nothing_lost(run, ended.saved)
    for folder in (run, *(path for path in run.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    expect_equal_runs(run, warm.train(run), whole.directory, whole.ended)


@pytest.fixture
def mounted(stopped: Path, tmp_path: Path) -> Iterator[Path | None]:
    """The stopped run below a read-only mount; None where nobody may mount."""
    run = shutil.copytree(stopped, tmp_path / "run")
    done = subprocess.run(["mount", "--bind", str(run), str(run)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"nothing can be mounted here: {done.stderr.strip()}")
        yield None
        return
    subprocess.run(["mount", "-o", "remount,ro,bind", str(run)], check=True)
    yield run
    subprocess.run(["umount", "-l", str(run)], check=True)


def test_a_read_only_mount_is_refused_before_anything_is_touched(warm: Warm, mounted: Path | None) -> None:
    if mounted is None:
        pytest.skip("nobody may mount here: the tests before this one take permissions away instead")
    before = files(mounted)
    expect_refused(warm.train(mounted), str(mounted))
    assert files(mounted) == before
