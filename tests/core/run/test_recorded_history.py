"""The history of a run is in one file that its checkpoints point into: resumed, moved, damaged, of an old version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.checkpoint import AnyOf, CheckpointFolder, KeepEvery, MpkRecorder, read_file
from multilearn.checkpoint import manifest as manifests
from multilearn.commands.inspect import inspect
from multilearn.loggers.metric_file import read_epoch_value

EARLIER = Path(__file__).parent / "earlier_run"
ALL = KeepEvery(1)
Damage = Callable[[Path], object]


def described(path: Path, epochs: int = 3) -> ml.LearnerBuilder:
    return toy.builder(path, epochs).with_checkpointing_strategy(ALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    toy.fit(described(path))
    return path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def contents(path: Path) -> dict[str, bytes]:
    history = (path / "checkpoint/history.log").read_bytes()
    return {**toy.contents(path), "history.log": history}


def test_the_file_has_a_line_for_each_epoch_and_split_with_the_values_of_the_metric_files(whole: Path) -> None:
    lines = (whole / "checkpoint/history.log").read_text().splitlines()
    expected = []
    for epoch in (1, 2, 3):
        for split in ("train", "valid"):
            read = (read_epoch_value(whole / f"{split}/epoch-{epoch}/{name}.log") for name in ("Loss", "Accuracy"))
            loss, accuracy = (each.value for each in read if each is not None)
            expected.append(f'["{split}",{epoch},{{"Loss":{loss!r},"Accuracy":{accuracy!r}}}]')
    assert [text.partition(" ")[2] for text in lines] == expected


def test_records_do_not_grow_with_the_epochs(tmp_path: Path) -> None:
    sizes = {}
    for epochs in (2, 30):
        path = tmp_path / str(epochs)
        toy.fit(described(path, epochs).with_file_checkpointer(MpkRecorder()))
        sizes[epochs] = (path / f"checkpoint/scheduler-{epochs}.mpk").stat().st_size
    assert abs(sizes[30] - sizes[2]) < 16


def test_the_manifest_that_a_run_has_written_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, parsed = [], manifests._parsed
    monkeypatch.setattr(manifests, "_parsed", lambda content: read.append(content) or parsed(content))
    toy.fit(described(tmp_path / "run", 12))
    assert len(toy.checkpoints(tmp_path / "run")) == 12
    assert len(read) <= 2


@pytest.mark.parametrize("which", [1, 2, "latest"])
def test_what_a_run_goes_back_to_is_what_its_file_then_begins_with(run: Path, whole: Path, which: int | str) -> None:
    toy.fit(described(run).checkpoint(which))
    assert contents(run) == contents(whole)


def test_a_run_that_was_stopped_in_validation_writes_no_line_twice(tmp_path: Path, whole: Path) -> None:
    path = tmp_path / "run"
    toy.stopped(described(path), 2, 1, "valid")
    assert toy.checkpoints(path) == ["1", "2.5"]
    assert (path / "checkpoint/history.log").read_bytes().count(b"\n") == 3
    toy.fit(described(path).checkpoint("latest"))
    assert contents(path) == contents(whole)


def test_a_run_takes_its_history_along_into_another_directory(run: Path, whole: Path, tmp_path: Path) -> None:
    before = contents(run)
    learner = toy.fit(described(tmp_path / "there").checkpoint(2, run))
    assert (tmp_path / "there/checkpoint/history.log").read_bytes() == before["history.log"]
    assert [len(values) for values in learner.history["valid"].values()] == [3, 3]
    assert toy.metric_files(tmp_path / "there") == toy.metric_files(whole)
    assert contents(run) == before


def test_overwriting_removes_the_file(run: Path) -> None:
    ml.set_seed(toy.SEED)
    builder = ml.LearnerBuilder(run, overwrite=True).renderer(ml.renderers.SilentRenderer()).num_epochs(1)
    toy.fit(builder)
    assert not (run / "checkpoint").exists()


DAMAGES: dict[str, Damage] = {
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
    "a digit in the first line": lambda path: path.write_bytes(path.read_bytes().replace(b'"Loss":', b'"Loss":1', 1)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_where_every_checkpoint_has_lost_its_history_the_newest_goes_on_and_says_so(
    run: Path, whole: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "checkpoint/scheduler-3.mpk.gz").unlink()
    damage(run / "checkpoint/history.log")
    learner = toy.fit(described(run).checkpoint("latest"))
    assert "checkpoint 3 is skipped: scheduler-3.mpk.gz is missing" in caplog.text
    assert "history.log " in caplog.text and "of the history up to checkpoint 2 " in caplog.text
    assert "Resumed from checkpoint 2 " in caplog.text
    # the weights, the streams and the metric files are those of the run that nothing happened to
    assert toy.metric_files(run) == toy.metric_files(whole)
    assert [name for name in ("model", "optim") if _same(run, whole, f"{name}-3.mpk.gz")] == ["model", "optim"]
    assert np.isnan(learner.history["train"]["Loss"][0])
    caplog.clear()
    toy.fit(described(run, 4).checkpoint("latest"))
    assert "history.log" not in caplog.text


def _same(run: Path, whole: Path, name: str) -> bool:
    return (run / "checkpoint" / name).read_bytes() == (whole / "checkpoint" / name).read_bytes()


def test_the_newest_checkpoint_whose_history_is_whole_is_taken(
    run: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = run / "checkpoint/history.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:10])
    assert [each.problem for each in inspect(run).checkpoints] == [None, None, "history.log is not as it was written"]
    toy.fit(described(run).checkpoint("latest"))
    assert "checkpoint 3 is skipped: history.log is not as it was written" in caplog.text
    assert "Resumed from checkpoint 2 " in caplog.text
    assert contents(run) == contents(whole)
    assert inspect(run).intact


def test_weights_alone_need_no_history(run: Path) -> None:
    (run / "checkpoint/history.log").unlink()
    evaluator = ml.Evaluator(directory=run)
    result = evaluator.evaluate(toy.task(), toy.valid_loader(), checkpoint="latest")
    assert result["Loss"] == read_epoch_value(run / "valid/epoch-3/Loss.log").value


def test_the_history_in_a_record_of_an_earlier_version_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(EARLIER, tmp_path / "run")
    finals = {
        split: [read_epoch_value(run / f"{split}/epoch-{epoch}/Loss.log").value for epoch in (1, 2)]
        for split in ("train", "valid")
    }
    assert "train" in read_file(run / "checkpoint/scheduler-2.mpk.gz").item["metrics"]["history"]
    learner = toy.fit(described(run).checkpoint("latest"))
    assert "Resumed from checkpoint 2 " in caplog.text
    for split, losses in finals.items():
        assert learner.history[split]["Loss"][:2] == tuple(losses)
        assert len(learner.history[split]["Accuracy"]) == 3
    assert (run / "checkpoint/history.log").read_bytes().count(b"\n") == 6
    again = toy.fit(described(run, 4).checkpoint("latest"))
    assert again.history["train"]["Loss"][:3] == learner.history["train"]["Loss"]


def removed(run: Path, pattern: str) -> None:
    for path in run.glob(pattern):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train/epoch-*/Loss.log", ["train: Loss.log is missing in 3 of the epochs 1 to 3"]),
        ("train/epoch-2", [f"train/epoch-2/{name}.log is missing" for name in ("Accuracy", "Loss")]),
        ("train", [f"train: {name}.log is missing in 3 of the epochs 1 to 3" for name in ("Accuracy", "Loss")]),
        ("valid/epoch-[13]", ["valid: Loss.log is missing in 2 of the epochs 1 to 3"]),
    ],
)
def test_metric_files_that_are_gone_altogether_are_said_in_a_line_for_each_metric(
    run: Path, pattern: str, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    removed(run, pattern)
    toy.fit(described(run, 4).checkpoint("latest"))
    for each in expected:
        assert f"{run}/{each}, and stays as it is." in caplog.text
    assert caplog.text.count("is missing") == max(len(expected), 1 if "valid" not in pattern else 2)


def test_a_run_that_never_wrote_metric_files_misses_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for loggers in ((), (toy.Recorded(),)):
        path = tmp_path / str(len(loggers))
        toy.fit(described(path, 1).metric_loggers(*loggers))
        toy.fit(described(path, 2).metric_loggers(*loggers).checkpoint("latest"))
    assert "is missing" not in caplog.text


def test_a_metric_that_was_added_later_is_not_missed_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy.fit(described(tmp_path, 1))
    for epochs in (2, 3):
        more = described(tmp_path, epochs).metrics(ml.metrics.AUROC(mode="multiclass"))
        toy.fit(more.checkpoint("latest"))
    assert "is missing" not in caplog.text


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks /proc which file a descriptor is of")
def test_everything_that_a_checkpoint_counts_is_synced_before_the_manifest_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def name(path: str) -> str:
        return os.path.relpath(path, tmp_path)

    def syncing(descriptor: int) -> None:
        log.append(("sync", name(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def replacing(source: Path, target: Path) -> None:
        log.append(("rename", name(str(target))))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    toy.fit(toy.builder(tmp_path / "some/where/run", 4).with_checkpointing_strategy(AnyOf(ALL)))

    assert log[:3] == [("sync", "."), ("sync", "some"), ("sync", "some/where")]  # each new folder in its parent
    # the manifest is written twice for a checkpoint: what is being written, and then that it is there
    commits = [at for at, each in enumerate(log) if each == ("rename", "some/where/run/checkpoint/manifest.json")][1::2]
    counts = []
    for epoch, (begun, done) in enumerate(zip([0, *commits], commits, strict=False), start=1):
        synced = [path.removeprefix("some/where/run/") for what, path in log[begun:done] if what == "sync"]
        counts.append(len(synced))
        for split in ("train", "valid"):
            folder = f"{split}/epoch-{epoch}"
            files = [f"{folder}/Loss.log", f"{folder}/Accuracy.log"]
            order = [max(map(synced.index, files)), synced.index(folder), synced.index(split)]
            assert order == sorted(order)
        history = "checkpoint/history.log.tmp" if epoch == 1 else "checkpoint/history.log"
        assert synced.index(history) < synced.index(f"checkpoint/scheduler-{epoch}.mpk.gz.tmp")
        assert ("some/where/run" in synced) == (epoch == 1)
    # metric files; their folders, those of the splits and the journal; the checkpoint itself
    assert counts[1:] == [4 + 5 + 8] * 3
    assert CheckpointFolder(tmp_path / "some/where/run/checkpoint").positions()[-1].epoch == 4
