"""A job that starts a script again after a failure: what it has begun is resumed, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml
from multilearn.errors import DirectoryError
from multilearn.events import EpochEnded
from multilearn.loggers import logger as loggers
from multilearn.run.restart import Attempt

FIRST, SECOND = Attempt("job-a", "1"), Attempt("job-a", "2")
Enter = Callable[[Attempt], None]


class Killed(Exception):
    """Where a process would have been killed."""


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Has this process take part in an attempt."""
    return lambda attempt: [monkeypatch.setenv(*each) for each in attempt.environment().items()] and None


def killed(described: ml.LearnerBuilder) -> None:
    """In the third batch of the second epoch."""
    with pytest.raises(Killed):
        toy.fit(described, toy.failing(2, 2, Killed()))


SAYS: dict[str, Callable[[Path], ml.LearnerBuilder]] = {
    "nothing": toy.builder,
    "overwrite": lambda path: toy.builder(path, overwrite=True),
    "latest": lambda path: toy.builder(path).checkpoint("latest"),
    "another run": lambda path: toy.builder(path).checkpoint(2, path.with_name("half")),
}


@pytest.mark.parametrize("says", SAYS)
def test_a_later_attempt_resumes_the_run_whatever_the_script_says(
    tmp_path: Path, whole: Path, half: Path, enter: Enter, says: str
) -> None:
    shutil.copytree(half, tmp_path / "half")
    path, described = tmp_path / "run", SAYS[says](tmp_path / "run")
    enter(FIRST)
    if says == "another run":
        with pytest.raises(Killed):
            toy.fit(described, toy.failing(3, 2, Killed()))
    else:
        killed(described)
    assert toy.experiment(path)["sessions"][0]["command"] == "job-a 1"
    enter(SECOND)
    toy.fit(described)
    assert toy.metric_files(path) == toy.metric_files(whole)
    resumed_from = [session["resumed_from"] for session in toy.experiment(path)["sessions"]]
    assert resumed_from[-1]["position"] == ("2" if says == "another run" else "1")


def test_a_run_that_ended_before_it_saved_starts_at_epoch_1(tmp_path: Path, whole: Path, enter: Enter) -> None:
    path = tmp_path / "run"
    enter(FIRST)
    with pytest.raises(Killed):
        toy.fit(toy.builder(path), toy.failing(1, 2, Killed()))
    enter(SECOND)
    toy.fit(toy.builder(path))
    assert toy.contents(path) == toy.contents(whole)


def test_a_run_that_is_finished_is_not_trained_again(tmp_path: Path, enter: Enter) -> None:
    path = tmp_path / "run"
    enter(FIRST)
    first = toy.fit(toy.builder(path))
    before = toy.contents(path)
    enter(SECOND)
    second = toy.fit(toy.builder(path))
    assert toy.contents(path) == before
    assert toy.weights(second) == toy.weights(first)


@pytest.mark.parametrize("attempt", [Attempt("job-b", "2"), FIRST])
def test_a_run_of_another_job_or_of_the_same_attempt_is_refused_as_ever(
    tmp_path: Path, enter: Enter, attempt: Attempt
) -> None:
    path = tmp_path / "run"
    enter(FIRST)
    killed(toy.builder(path))
    enter(attempt)
    with pytest.raises(DirectoryError, match="A directory holds one run"):
        toy.fit(toy.builder(path))
    toy.fit(toy.builder(path, overwrite=True))
    assert [session["resumed_from"] for session in toy.experiment(path)["sessions"]] == [None]


def test_a_run_that_was_resumed_by_hand_since_is_refused(
    tmp_path: Path, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    enter(FIRST)
    killed(toy.builder(path))
    monkeypatch.delenv("MULTILEARN_JOB")
    toy.fit(toy.builder(path, 2).checkpoint("latest"))
    enter(SECOND)
    with pytest.raises(DirectoryError, match="A directory holds one run"):
        toy.build(toy.builder(path))


def test_a_logger_of_the_process_receives_the_events_of_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "_of_every_run", [])
    recorded = toy.Recorded()
    loggers.log_every_run(recorded)
    for name, described in (("a", toy.builder(tmp_path / "a", 2)), ("b", toy.builder(tmp_path / "b").metric_loggers())):
        toy.fit(described)
        assert (tmp_path / name / "train").exists() == (name == "a")
    assert [event.epoch for event in recorded.of(EpochEnded)] == [1, 2, 1, 2, 3]
    assert recorded.closed == 2
