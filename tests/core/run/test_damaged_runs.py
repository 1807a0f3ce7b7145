"""Runs whose files were damaged between two processes, in small; `tests/long/kills` does it at large."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder, MpkRecorder, SafetensorsRecorder
from multilearn.events import Position

Damage = Callable[[Path], object]


DAMAGES: dict[str, Damage] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
}
each_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


@each_damage
def test_a_damaged_manifest_is_put_together_from_the_files(
    run: Path, whole: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    before = json.loads((run / "checkpoint/manifest.json").read_text())
    damage(run / "checkpoint/manifest.json")
    folder, why = CheckpointFolder(run / "checkpoint").recovered()
    assert folder.positions() == [Position(1), Position(2)]
    assert why is not None and why.endswith("the checkpoints whose files are intact count, which are 1, 2")
    shutil.copytree(run, run.parent / "other")
    mended, _ = CheckpointFolder(run.parent / "other/checkpoint").recovered()
    mended.mend()
    assert json.loads((run.parent / "other/checkpoint/manifest.json").read_text()) == before
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert toy.contents(run) == toy.contents(whole)
    assert f"{run}/checkpoint/manifest.json is " in caplog.text
    assert "Resumed from checkpoint 2" in caplog.text


@pytest.mark.parametrize("recorder", [MpkRecorder(), SafetensorsRecorder()], ids=["mpk", "safetensors"])
def test_records_of_every_format_tell_what_they_are(tmp_path: Path, recorder: MpkRecorder) -> None:
    toy.fit(toy.builder(tmp_path / "run", 2).with_file_checkpointer(recorder))
    before = (tmp_path / "run/checkpoint/manifest.json").read_bytes()
    (tmp_path / "run/checkpoint/manifest.json").unlink()
    CheckpointFolder(tmp_path / "run/checkpoint").recovered()[0].mend()
    assert json.loads((tmp_path / "run/checkpoint/manifest.json").read_bytes()) == json.loads(before)


def test_files_that_are_not_what_their_names_say_make_no_checkpoint(run: Path) -> None:
    folder = run / "checkpoint"
    (folder / "manifest.json").unlink()
    for part in ("model", "optim", "scheduler"):
        shutil.copy(folder / f"{part}-2.mpk.gz", folder / f"{part}-3.mpk.gz")
    shutil.copy(folder / "model-1.mpk.gz", folder / "optim-1.mpk.gz")
    found, why = CheckpointFolder(folder).recovered()
    assert found.positions() == [Position(2)]
    assert why is not None and "which are 2; checkpoint 1 is skipped: optim-1.mpk.gz is damaged (The content of" in why
    assert "checkpoint 3 is skipped: model-3.mpk.gz is damaged" in why
    found.mend()
    assert CheckpointFolder(folder).positions() == [Position(2)]
    CheckpointFolder(folder).save(Position(4), CheckpointFolder(folder).load(Position(2)))
    kept = {f"{part}-{name}.mpk.gz" for part in ("model", "optim", "scheduler") for name in (2, 4)}
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "history.log", *kept}


def test_a_checkpoint_of_which_a_part_is_gone_is_skipped_without_its_manifest(run: Path) -> None:
    (run / "checkpoint/manifest.json").unlink()
    (run / "checkpoint/optim-2.mpk.gz").unlink()
    (run / "checkpoint/model-1.mpk.gz").write_bytes(b"")
    found, why = CheckpointFolder(run / "checkpoint").recovered()
    assert found.positions() == []
    assert why is not None and "which are none; checkpoint 1 is skipped: model-1.mpk.gz is damaged (" in why
    assert why.endswith("; checkpoint 2 is skipped: optim-2.mpk.gz is missing")


def test_an_intact_folder_and_an_empty_one_need_no_recovery(run: Path, tmp_path: Path) -> None:
    for path in (run / "checkpoint", tmp_path / "none"):
        folder = CheckpointFolder(path)
        assert folder.recovered() == (folder, None)
    assert not (tmp_path / "none").exists()


@each_damage
def test_a_damaged_experiment_json_is_said_and_written_anew(
    run: Path, whole: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    damage(run / "experiment.json")
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert f"{run}/experiment.json is " in caplog.text
    assert "what it said of earlier sessions is lost" in caplog.text
    (session,) = toy.experiment(run)["sessions"]
    assert session["outcome"] == "completed"
    assert toy.contents(run) == toy.contents(whole)


def test_a_metric_file_that_is_gone_of_the_only_finished_epoch_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toy.fit(toy.builder(tmp_path / "run", 2))
    (tmp_path / "run/checkpoint/model-2.mpk.gz").unlink()
    (tmp_path / "run/valid/epoch-1/Loss.log").unlink()
    toy.fit(toy.builder(tmp_path / "run", 2).checkpoint("latest"))
    assert "Resumed from checkpoint 1" in caplog.text
    assert f"{tmp_path}/run/valid/epoch-1/Loss.log is missing, and stays as it is." in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"0.5,8\n0.4", "has lost its end"),
        (b"", "has lost its end"),
        (b"0.5,8\n17.5,final\n", "ends with '17.5' where the checkpoint says 0."),
    ],
)
def test_a_damaged_metric_file_of_a_finished_epoch_is_said_and_stays_as_it_is(
    run: Path, content: bytes | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = run / "valid/epoch-1/Loss.log"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert f"{path} {said}" in caplog.text and "and stays as it is" in caplog.text
    assert (path.read_bytes() if path.exists() else None) == content


def test_of_an_undamaged_run_nothing_is_said(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"Resumed from checkpoint 2 of {run}."
    ]


def test_an_earlier_checkpoint_that_is_damaged_is_said(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "checkpoint/optim-1.mpk.gz").write_bytes(b"")
    size = json.loads((run / "checkpoint/manifest.json").read_text())["checkpoints"][0]["files"]["optim-1.mpk.gz"]
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert f"Checkpoint 1 is damaged: optim-1.mpk.gz has 0 bytes instead of {size['size']}." in caplog.text


def test_a_run_that_goes_on_without_metric_files_ends_those_of_the_epoch_where_it_does(tmp_path: Path) -> None:
    described = toy.builder(tmp_path / "run").checkpoint_every(batches=2)
    with pytest.raises(KeyboardInterrupt):
        toy.fit(described, toy.failing(2, 4, KeyboardInterrupt()))
    path = tmp_path / "run/train/epoch-2/Loss.log"
    with path.open("ab") as file:
        file.write(b"later\n and torn")
    assert toy.checkpoints(tmp_path / "run")[-1] == "2.4"
    before = path.read_bytes().splitlines(keepends=True)
    toy.fit(described.metric_loggers(toy.Recorded()).checkpoint("latest"))
    assert path.read_bytes().splitlines(keepends=True) == before[:4]


def test_what_a_kill_left_of_the_last_deletions_goes_when_the_finished_run_is_looked_at(tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy.fit(toy.builder(run).with_checkpointing_strategy(ml.checkpoint.KeepLast(1)))
    before = toy.checkpoint_files(run)
    manifest = json.loads((run / "checkpoint/manifest.json").read_text())
    manifest["removing"] = ["model-2.mpk.gz"]
    (run / "checkpoint/manifest.json").write_text(json.dumps(manifest))
    (run / "checkpoint/model-2.mpk.gz").write_bytes(b"of no use")
    toy.fit(toy.builder(run).with_checkpointing_strategy(ml.checkpoint.KeepLast(1)).checkpoint("latest"))
    assert toy.checkpoint_files(run) == before


def test_a_line_that_was_cut_off_is_not_gone_on_with(run: Path) -> None:
    log = run / "experiment.log"
    torn = log.read_bytes()[:-20]
    log.write_bytes(torn)
    toy.fit(toy.builder(run).checkpoint("latest"))
    assert log.read_bytes().startswith(torn + b"\n20")
    assert b"\n\n" not in log.read_bytes()


def test_a_run_that_was_killed_while_it_moved_into_a_directory_goes_on_there(
    run: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = run.parent / "there"

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("multilearn.run.copies.shutil.copyfileobj", die)
        toy.fit(toy.builder(there).checkpoint("latest", run))
    toy.fit(toy.builder(there).checkpoint("latest"))
    assert toy.metric_files(there) == toy.metric_files(whole)
