"""The directory of a run is where it was when it was written down, whatever changes later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.commands.compare.study import compare_grouped as compare
from multilearn.commands.inspect import inspect
from multilearn.errors import ConfigurationError
from multilearn.events import EpochEnded
from multilearn.renderers.notation import beginning
from multilearn.run.experiment import earlier
from multilearn.storage.layout import RunDirectory


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with another one below it."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Leaving:
    """A loader that changes the current directory before each of its batches, as tokenizers and datasets do."""

    def __init__(self, to: Path) -> None:
        self._to = to

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in toy.train_loader().iterate(seed, epoch, start):
            os.chdir(self._to)
            yield batch


def files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("leave", ["before build", "before fit", "in the loader", "in a listener"])
def test_a_run_is_in_one_place_wherever_the_script_goes(here: Path, leave: str) -> None:
    toy.fit(toy.builder(here / "stayed", epochs=3))
    elsewhere = here / "elsewhere"
    described = toy.builder("runs/a", epochs=3)
    if leave == "in a listener":
        logger = toy.Recorded(lambda event: os.chdir(elsewhere) if isinstance(event, EpochEnded) else None)
        described = described.metric_loggers(ml.loggers.FileMetricLogger(), logger)
    if leave == "before build":
        os.chdir(elsewhere)
    learner = toy.build(described)
    if leave == "before fit":
        os.chdir(elsewhere)
    learner.fit(Leaving(elsewhere) if leave == "in the loader" else toy.train_loader(), toy.valid_loader())

    assert Path.cwd() == elsewhere
    assert learner.directory == here / "runs" / "a"
    assert files(here / "runs" / "a") == files(here / "stayed")
    assert files(elsewhere) == []


def test_a_run_that_was_left_is_resumed_and_evaluated_where_it_is(here: Path) -> None:
    toy.fit(toy.builder("runs/whole", epochs=3))
    elsewhere, evaluator = here / "elsewhere", ml.Evaluator("runs/a", renderer=ml.renderers.SilentRenderer())
    os.chdir(here)
    resumed, moved = toy.builder("runs/a", 3).checkpoint("latest"), toy.builder("runs/b").checkpoint(1, "runs/a")
    first = toy.build(toy.builder("runs/a", epochs=2))
    first.fit(Leaving(elsewhere), toy.valid_loader())
    toy.fit(moved)
    toy.fit(resumed)

    assert toy.metric_files(here / "runs" / "a") == toy.metric_files(here / "runs" / "whole")
    sessions, _ = earlier(RunDirectory(here / "runs" / "b").experiment)
    assert sessions[-1].resumed_from == {"directory": str(here / "runs" / "a"), "position": "1"}
    evaluator.evaluate(toy.task(), toy.valid_loader(), checkpoint="latest")
    assert (here / "runs" / "a" / "test" / "test" / "Loss.log").is_file()
    assert list(ml.predict(toy.task(), toy.valid_loader(), checkpoint=3, directory="../runs/a"))


def test_a_tilde_is_the_home_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home{seed}"))
    learner = toy.build(toy.builder("~/runs/{backend}-{seed}"))
    monkeypatch.setenv("HOME", str(here))
    learner.fit(toy.train_loader())
    assert learner.directory == here / "home{seed}" / "runs" / f"toy-{toy.SEED}"
    assert files(here / "home{seed}")
    assert not (here / "~").exists()
    with pytest.raises(ConfigurationError, match=r"the home directory of nobody-here is not known"):
        ml.LearnerBuilder("~nobody-here/runs")
    assert toy.build(toy.builder("./~nobody-here/runs")).directory == here / "~nobody-here" / "runs"


def test_reports_know_the_home_directory_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.fit(toy.builder(here / "run", 1))
    monkeypatch.setenv("HOME", str(here))
    assert inspect(Path("~/run")).intact
    assert inspect(Path("~/run/checkpoint/model-1.mpk.gz")).intact
    assert compare([Path("~/run"), here / "run"]).same


def test_placeholders_are_replaced_in_what_was_written_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "{seed}").mkdir()
    monkeypatch.chdir(here / "{seed}")
    assert toy.build(toy.builder("{seed}")).directory == here / "{seed}" / str(toy.SEED)


def test_toml_keeps_the_path_that_was_written(here: Path) -> None:
    described = ml.LearnerBuilder("runs/{backend}").checkpoint(2, "begun/a")
    os.chdir("elsewhere")
    text = described.to_toml()
    assert 'directory = "runs/{backend}"' in text and 'directory = "begun/a"' in text
    (here / "run.toml").write_text(text)
    read = ml.LearnerBuilder.from_toml(here / "run.toml").checkpoint("latest")
    assert toy.build(read).directory == here / "elsewhere" / "runs" / "toy"
    os.chdir(here)
    assert ml.LearnerBuilder.from_toml("run.toml") == described


def test_from_experiment_leads_to_the_run_from_anywhere(here: Path) -> None:
    plain = ml.LearnerBuilder("runs/{backend}-{seed}").with_file_checkpointer().checkpoint("latest", "begun/a")
    toy.fit(toy.builder("begun/a", epochs=1))
    toy.fit(plain.renderer(ml.renderers.SilentRenderer()))
    run, name = Path("runs"), f"toy-{toy.SEED}"
    assert ml.LearnerBuilder.from_experiment(run / name) == plain.renderer(ml.renderers.SilentRenderer())
    os.chdir("elsewhere")
    again = ml.LearnerBuilder.from_experiment(here / run / name)
    assert again != plain
    assert toy.build(again.checkpoint("latest")).directory == here / run / name
    assert str(here / "begun" / "a") in again.to_toml()
    (here / run / name).rename(here / "moved")
    assert toy.build(ml.LearnerBuilder.from_experiment(here / "moved").checkpoint("latest")).directory == (
        here / "moved"
    )


def test_a_relative_path_needs_a_current_directory_and_its_experiment_does_not(here: Path) -> None:
    toy.fit(toy.builder("runs/a", epochs=1))
    os.chdir("elsewhere")
    (here / "elsewhere").rmdir()
    with pytest.raises(ConfigurationError, match="a current directory that exists"):
        ml.LearnerBuilder("runs/a")
    again = ml.LearnerBuilder.from_experiment(here / "runs" / "a")
    assert toy.build(again.checkpoint("latest")).directory == here / "runs" / "a"


def test_people_see_the_path_from_where_they_are(here: Path) -> None:
    logger = toy.Recorded()
    toy.fit(toy.builder("runs/a", epochs=1).metric_loggers(logger))
    started = logger.events[0]
    assert beginning(started) == "training for 1 epoch, in runs/a"
    os.chdir("elsewhere")
    assert beginning(started) == f"training for 1 epoch, in {here / 'runs' / 'a'}"


def test_a_directory_whose_name_is_not_utf_8_is_like_any_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun, moved = os.fsdecode(b"begun-\xff"), os.fsdecode(b"moved-\xfe")
    toy.fit(toy.builder(begun, epochs=1).renderer(ml.renderers.CliRenderer()).summary())
    toy.fit(toy.builder(moved, epochs=2).checkpoint("latest", begun))
    learner = toy.fit(toy.builder(moved, epochs=3).checkpoint("latest").restore_best())
    assert len(learner.history["train"]["Loss"]) == 3
    sessions, _ = earlier(RunDirectory(here / moved).experiment)
    assert [each.resumed_from and each.resumed_from["directory"] for each in sessions] == [
        str(here / begun),
        str(here / moved),
    ]
    again = ml.LearnerBuilder.from_experiment(moved)
    assert toy.build(again.checkpoint("latest")).directory == here / moved
    assert "completed 1 epoch" in capsys.readouterr().out


def test_texts_that_are_not_unicode_leave_an_experiment_that_can_be_read(here: Path) -> None:
    def fail(event: object) -> None:
        if isinstance(event, EpochEnded):
            raise ValueError("half of a pair: \ud800")

    with pytest.raises(ValueError, match="half of a pair"):
        toy.fit(toy.builder("run").metric_loggers(toy.Recorded(fail)))
    (session,), _ = earlier(RunDirectory(here / "run").experiment)
    assert session.error == "ValueError: half of a pair: \ufffd"
