"""Files that are damaged between two processes: the run goes on from the newest intact state, and says what it lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.checking import expect_equal_runs, expect_nothing_lost, expect_sound_logs
from support.processes import files
from support.running import Ended, Warm, Whole

from multilearn.checkpoint import CheckpointFolder


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    """The lowest bit of the byte in the middle."""
    data = bytearray(path.read_bytes() or b"\0")
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def delete(path: Path) -> None:
    path.unlink()


DAMAGES = [cut, empty, flip, delete]
each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
Damage = Callable[[Path], None]


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stopped, tmp_path / "run")


def newest(run: Path) -> str:
    return str(CheckpointFolder(run / "checkpoint").positions()[-1])


def expect_gone_on(warm: Warm, run: Path, whole: Whole, *parts: str) -> Ended:
    ended = warm.train(run)
    expect_equal_runs(run, ended, whole.directory, whole.ended)
    expect_nothing_lost(run, ended.saved)
    for part in parts:
        assert part in ended.said and part in (run / "experiment.log").read_text()
    return ended


@each_damage
@pytest.mark.parametrize("part", ["model", "optim", "scheduler"])
def test_a_damaged_record_is_skipped_for_the_newest_intact_checkpoint(
    warm: Warm, whole: Whole, run: Path, part: str, damage: Damage
) -> None:
    last = newest(run)
    damage(run / f"checkpoint/{part}-{last}.mpk.gz")
    said = expect_gone_on(warm, run, whole, f"checkpoint {last} is skipped: {part}-{last}.mpk.gz ").said
    assert "Resumed from checkpoint 2 " in said


@each_damage
def test_where_no_checkpoint_is_intact_the_run_begins_anew(warm: Warm, whole: Whole, run: Path, damage: Damage) -> None:
    positions = CheckpointFolder(run / "checkpoint").positions()
    for position in positions:
        damage(run / f"checkpoint/optim-{position}.mpk.gz")
    reasons = [f"checkpoint {position} is skipped: optim-{position}.mpk.gz " for position in positions]
    expect_gone_on(warm, run, whole, *reasons, "No checkpoint is intact", "starting at epoch 1")


@each_damage
def test_a_damaged_earlier_checkpoint_is_named_unless_only_its_content_tells(
    warm: Warm, whole: Whole, run: Path, damage: Damage
) -> None:
    damage(run / "checkpoint/model-1.mpk.gz")
    expect_gone_on(warm, run, whole, *([] if damage is flip else ["Checkpoint 1 is damaged: model-1.mpk.gz "]))


@each_damage
def test_the_files_themselves_tell_what_a_damaged_manifest_no_longer_does(
    warm: Warm, whole: Whole, run: Path, damage: Damage
) -> None:
    last = newest(run)
    damage(run / "checkpoint/manifest.json")
    said = expect_gone_on(warm, run, whole, "manifest.json is ", "the checkpoints whose files are intact count").said
    assert f"Resumed from checkpoint {last} " in said


def test_without_its_manifest_a_damaged_checkpoint_is_none(warm: Warm, whole: Whole, run: Path) -> None:
    last = newest(run)
    flip(run / f"checkpoint/model-{last}.mpk.gz")
    (run / "checkpoint/manifest.json").unlink()
    assert "Resumed from checkpoint 2 " in expect_gone_on(warm, run, whole, "manifest.json is missing").said


@each_damage
def test_a_damaged_experiment_json_is_named_and_written_anew(
    warm: Warm, whole: Whole, run: Path, damage: Damage
) -> None:
    damage(run / "experiment.json")
    parts = [] if damage is flip else ["experiment.json", "what it said of earlier sessions is lost"]
    expect_gone_on(warm, run, whole, *parts)


@each_damage
@pytest.mark.parametrize("file", ["experiment.log", ".lock"])
def test_a_damaged_log_or_lock_is_gone_on_with(warm: Warm, whole: Whole, run: Path, file: str, damage: Damage) -> None:
    damage(run / file)
    expect_gone_on(warm, run, whole)


@each_damage
@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_damaged_metric_file_of_a_finished_epoch_is_named_and_all_else_goes_on(
    warm: Warm, whole: Whole, run: Path, split: str, damage: Damage
) -> None:
    file = f"{split}/epoch-1/Loss.log"
    damage(run / file)
    left = (run / file).read_bytes() if (run / file).is_file() else None
    ended = warm.train(run)
    if damage is not flip:
        assert f"{file} " in ended.said
    found = files(run)
    assert found.pop(file, None) == left
    (run / file).write_bytes((whole.directory / file).read_bytes())
    expect_equal_runs(run, ended, whole.directory, whole.ended)


@each_damage
def test_of_a_damaged_metric_file_of_the_epoch_that_goes_on_the_lines_that_are_left_stay(
    warm: Warm, whole: Whole, run: Path, damage: Damage
) -> None:
    file = "train/epoch-3/Loss.log"
    # of the first line: any more may be later than the checkpoint
    (run / file).write_bytes((run / file).read_bytes()[:10]) if damage is cut else damage(run / file)
    ended = warm.train(run)
    assert ended.code == 0, ended.said
    if damage is not flip:
        assert f"{file} has only " in ended.said
    lines, expected = ((path / file).read_text().splitlines() for path in (run, whole.directory))
    assert lines[-1] == expected[-1]
    assert len(lines) < len(expected) or damage is flip
    (run / file).write_bytes((whole.directory / file).read_bytes())
    expect_equal_runs(run, ended, whole.directory, whole.ended)
    expect_sound_logs(run)


@pytest.mark.parametrize("file", ["experiment.json", "checkpoint/manifest.json", ".lock"])
def test_a_folder_where_a_file_must_be_is_refused_when_it_is_to_be_written(
    warm: Warm, whole: Whole, run: Path, file: str
) -> None:
    content = (run / file).read_bytes()
    (run / file).unlink()
    (run / file).mkdir()
    (run / file / "mine.txt").write_text("of somebody")
    ended = warm.train(run)
    assert ended.error and {"DirectoryError", "StorageError"} & set(ended.error["kinds"]), ended.said
    assert str(run / file) in ended.error["says"]
    shutil.rmtree(run / file)
    (run / file).write_bytes(content)
    expect_gone_on(warm, run, whole)


@pytest.mark.parametrize("folder", ["checkpoint", "train", "valid/epoch-3"])
def test_a_file_where_a_folder_must_be_is_refused(warm: Warm, run: Path, folder: str) -> None:
    shutil.rmtree(run / folder, ignore_errors=True)
    (run / folder).write_text("of somebody")
    ended = warm.train(run)
    assert ended.error and "DirectoryError" in ended.error["kinds"], ended.said
    assert f"this must be a folder. Received: {run / folder}, which is a file" in ended.error["says"]


@pytest.mark.parametrize("folder", ["checkpoint", "train", "valid"])
def test_a_folder_that_is_gone_is_made_again(warm: Warm, whole: Whole, run: Path, folder: str) -> None:
    shutil.rmtree(run / folder)
    ended = warm.train(run)
    for epoch in ("epoch-1", "epoch-2") if folder != "checkpoint" else ():
        shutil.copytree(whole.directory / folder / epoch, run / folder / epoch)
    if folder == "train":
        shutil.copytree(whole.directory / "train/epoch-3", run / "train/epoch-3", dirs_exist_ok=True)
    expect_equal_runs(run, ended, whole.directory, whole.ended)
    assert ("Nothing was saved" in ended.said) == (folder == "checkpoint")
