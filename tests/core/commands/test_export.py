"""Runs as tables and as event files: their values are those of the metric files, however the runs ended."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import toy_experiment as toy
from support.tracked import of_batches, of_epochs, scalars

import multilearn as ml
from multilearn.commands.export import export
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.loggers import FileMetricLogger, TensorBoardLogger
from multilearn.storage.layout import RunDirectory
from multilearn.storage.lock import locked


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def values(table: list[dict[str, str]], split: str, metric: str = "Loss", *, batch: bool = False) -> list[float]:
    chosen = (row for row in table if (row["split"], row["metric"]) == (split, metric))
    return [float(row["value"]) for row in chosen if bool(row["batch"]) is batch]


def test_a_table_has_a_row_for_each_epoch_value(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export([whole], "csv") == []
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "run,backend,seed,split,metric,epoch,batch,value"
    table = rows(text)
    assert len(table) == 3 * 2 * 2
    assert {(row["run"], row["backend"], row["seed"], row["batch"]) for row in table} == {(str(whole), "toy", "7", "")}
    for split in ("train", "valid"):
        for metric in ("Loss", "Accuracy"):
            assert values(table, split, metric) == [value for _, value in of_epochs(whole, split, metric)]


def test_a_table_has_the_values_of_batches_if_they_are_asked_for(whole: Path, tmp_path: Path) -> None:
    assert export([whole], "csv", str(tmp_path / "all.csv"), batches=True) == [f"{whole}: {12 + 3 * (5 + 3) * 2} rows"]
    table = rows((tmp_path / "all.csv").read_text())
    batches = [row for row in table if row["batch"] and row["split"] == "train" and row["metric"] == "Loss"]
    assert [(row["epoch"], row["batch"]) for row in batches] == [
        (str(e), str(b)) for e in (1, 2, 3) for b in range(1, 6)
    ]
    assert [float(row["value"]) for row in batches] == [value for _, value in of_batches(whole, 1)]


def test_the_same_run_makes_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "b.csv"):
        export([whole], "csv", str(tmp_path / name))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_nan_texts_and_names_of_any_kind_are_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = 'a,b "quoted"\n=1+1 \x1b[2J'
    toy.fit(toy.builder(tmp_path, 1).metrics(ml.metrics.ConfusionMatrix()))
    path = RunDirectory(tmp_path).metric(ml.events.Split.TRAIN, 1, name)
    path.write_text("NaN\n" * 4 + "inf\nNaN,final\n")
    export([tmp_path], "csv", batches=True)
    table = rows(capsys.readouterr().out)
    shown = 'a,b "quoted"\\x0a=1+1 \\x1b[2J'
    assert [row["value"] for row in table if row["metric"] == shown] == ["NaN"] * 4 + ["inf", "NaN"]
    (final,) = [
        row for row in table if row["metric"] == "ConfusionMatrix" and row["split"] == "train" and not row["batch"]
    ]
    assert final["value"].startswith('{"counts"')


def test_a_run_that_was_stopped_has_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.stopped(toy.builder(tmp_path), 2, 2)
    export([tmp_path], "csv", batches=True)
    table = rows(capsys.readouterr().out)
    assert len(values(table, "train")) == 1
    assert len(values(table, "train", batch=True)) == 5 + 3


def test_event_files_of_a_finished_run_are_what_its_own_logger_writes(whole: Path, tmp_path: Path) -> None:
    assert export([whole], "tensorboard", str(tmp_path)) == [f"{whole}: 9 points in {tmp_path / whole.name}"]
    folder = tmp_path / whole.name
    (again,) = [scalars(folder / "train")["batch/Loss"]]
    assert again == pytest.approx([pytest.approx(point, rel=1e-6) for point in of_batches(whole, 50)])
    first = {name: scalars(folder / name) for name in ("train", "train-epochs", "valid-epochs")}
    export([whole], "tensorboard", str(tmp_path))
    assert {name: scalars(folder / name) for name in first} == first
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 4


def test_it_has_the_points_that_the_run_asked_for(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path).metric_loggers(FileMetricLogger(), TensorBoardLogger(2)))
    logged = scalars(tmp_path / "tensorboard" / "train")
    export([tmp_path], "tensorboard")
    assert scalars(tmp_path / "tensorboard" / "train") == logged
    assert [x for x, _ in logged["batch/Loss"]] == [2, 4, 5, 7, 9, 10, 12, 14, 15]


def test_runs_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        toy.fit(toy.builder(tmp_path / name / "run", 1))
    export([tmp_path / "a" / "run", tmp_path / "b" / "run"], "tensorboard", str(tmp_path / "out"))
    for name in ("a", "b"):
        assert scalars(tmp_path / "out" / name / "run" / "valid-epochs")["epoch/Loss"]


def test_a_run_that_logs_by_itself_is_not_exported_meanwhile(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path).metric_loggers(FileMetricLogger(), TensorBoardLogger(2)))
    with (
        locked(tmp_path / ".lock"),
        pytest.raises(ConfigurationError, match="is being trained with a TensorBoardLogger"),
    ):
        export([tmp_path], "tensorboard")


def test_a_run_that_goes_on_is_exported(run: Path) -> None:
    with locked(run / ".lock"):
        export([run], "tensorboard")
    assert [x for x, _ in scalars(run / "tensorboard" / "valid-epochs")["epoch/Loss"]] == [1, 2]


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("tensorbord", {}, "Use one of: tensorboard, mlflow, wandb, trackio, csv"),
        ("tensorboard", {"batches": True}, "--batches is for --to csv"),
        ("wandb", {"output": "x"}, "--output is a file for csv"),
        ("csv", {"output": "."}, "A table is written to a file"),
        ("csv", {"output": "/nowhere/at/all.csv"}, "A table is written into a directory"),
    ],
)
def test_what_cannot_be_is_refused(whole: Path, to: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        export([whole], to, **options)  # type: ignore[arg-type]


def test_a_run_is_named_once(whole: Path) -> None:
    with pytest.raises(ConfigurationError, match="Each run is named once"):
        export([whole, whole], "csv")


def test_no_run_is_refused_before_anything_is_written(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"experiment\.json"):
        export([whole, tmp_path], "csv", str(tmp_path / "all.csv"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def read_only(run: Path) -> Iterator[Path]:
    run.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield run
    run.chmod(stat.S_IRWXU)


def test_a_run_that_is_not_writable_is_exported_elsewhere_only(read_only: Path, tmp_path: Path) -> None:
    if os.access(read_only, os.W_OK):
        pytest.skip("permissions do not hold for this user")
    with pytest.raises(ConfigurationError, match="not writable"):
        export([read_only], "tensorboard")
    export([read_only], "tensorboard", str(tmp_path / "out"))
