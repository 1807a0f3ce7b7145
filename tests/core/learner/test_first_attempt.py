"""A first attempt that trained no batch leaves no run: the next one works, and no run is ever lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy
from toy_backend import Momentum, SoftmaxRegression

import multilearn as ml
from multilearn.errors import DirectoryError
from multilearn.events import Started


class Broken:
    """A loader that fails where a batch is asked for: at batch `at` of the epoch, counted from 0.

    `fit` looks at one batch of it before anything is written; that one is there. A batch is trained once the next one
    has been looked at.
    """

    def __init__(self, at: int = 0) -> None:
        self._at, self._looked = at, False

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for number, batch in enumerate(toy.train_loader().iterate(seed, epoch, start)):
            if self._looked and number == self._at:
                raise ValueError("no such file")
            self._looked = True
            yield batch


class BrokenStep(SoftmaxRegression):
    """A task whose training step fails."""

    def forward(self, batch: Any, training: bool) -> Any:
        raise ValueError("no such layer")


def at_started(event: Any) -> None:
    if isinstance(event, Started):
        raise ValueError("no such tracker")


class BrokenRenderer(ml.renderers.SilentRenderer):
    def render(self, event: Any) -> None:
        at_started(event)


def plain(directory: Path, **options: Any) -> ml.LearnerBuilder:
    return toy.builder(directory, epochs=2, **options)


ATTEMPTS = {
    "loader": lambda d: toy.fit(plain(d), Broken()),
    "logger": lambda d: toy.fit(plain(d).metric_loggers(ml.loggers.FileMetricLogger(), toy.Recorded(at_started))),
    "renderer": lambda d: toy.fit(plain(d).renderer(BrokenRenderer())),
    "step": lambda d: plain(d).build(BrokenStep(toy.task().model), Momentum(), 0.1).fit(toy.train_loader()),
    "no loggers": lambda d: toy.fit(plain(d).metric_loggers(), Broken()),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_after_an_attempt_that_trained_nothing_the_next_fit_works(tmp_path: Path, attempt: str) -> None:
    expected = toy.fit(plain(tmp_path / "expected"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no such"):
            ATTEMPTS[attempt](tmp_path / "run")
    learner = toy.fit(plain(tmp_path / "run"))
    assert learner.history == expected.history
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(tmp_path / "expected")
    (session,) = toy.experiment(tmp_path / "run")["sessions"]
    assert (session["outcome"], session["trained"]) == ("completed", True)
    # what went wrong can still be read
    assert (tmp_path / "run" / "experiment.log").read_text().count("no such") >= 2
    with pytest.raises(DirectoryError, match="which holds one that was completed at 2"):
        toy.build(plain(tmp_path / "run"))


@pytest.mark.parametrize("loggers", [True, False], ids=["with metric files", "without"])
def test_a_run_that_trained_a_batch_is_refused(tmp_path: Path, loggers: bool) -> None:
    described = plain(tmp_path / "run") if loggers else plain(tmp_path / "run").metric_loggers()
    with pytest.raises(ValueError, match="no such file"):
        toy.fit(described, Broken(at=2))
    with pytest.raises(DirectoryError, match=r"which holds one that failed at 1\.2"):
        toy.build(described)


def test_a_kill_before_the_first_batch_leaves_no_run_and_one_after_it_does(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    script = """
import os, signal, sys
from support import toy_experiment as toy
class Killing:
    looked = False
    def iterate(self, seed, epoch, start=0):
        for number, batch in enumerate(toy.train_loader().iterate(seed, epoch, start)):
            if self.looked and number == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            self.looked = True
            yield batch
toy.fit(toy.builder(sys.argv[1], 2).metric_loggers(), Killing())
"""
    for batch in ("0", "2"):
        command = [sys.executable, "-c", script, str(tmp_path / batch), batch]
        assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    toy.fit(plain(tmp_path / "0"))
    with pytest.raises(DirectoryError, match="is still running or was killed"):
        toy.build(plain(tmp_path / "2"))


def test_an_attempt_to_resume_another_run_is_repeated(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "begun", epochs=1))
    moving = plain(tmp_path / "run").checkpoint("latest", tmp_path / "begun")
    with pytest.raises(ValueError, match="no such file"):
        toy.fit(moving, Broken())
    assert toy.metric_files(tmp_path / "run") == toy.metric_files(tmp_path / "begun")
    learner = toy.fit(moving)
    assert len(learner.history["train"]["Loss"]) == 2
    with pytest.raises(DirectoryError):
        toy.build(moving)


def test_copies_whose_originals_are_gone_are_kept(tmp_path: Path) -> None:
    toy.fit(toy.builder(tmp_path / "begun", epochs=1))
    with pytest.raises(ValueError, match="no such file"):
        toy.fit(plain(tmp_path / "run").checkpoint("latest", tmp_path / "begun"), Broken())
    copies = toy.metric_files(tmp_path / "run")
    for path in (tmp_path / "begun" / "train").rglob("*.log"):
        path.write_text("0.5,35\n0.5,final\n")
    with pytest.raises(DirectoryError):
        toy.build(plain(tmp_path / "run"))
    assert toy.metric_files(tmp_path / "run") == copies


@pytest.mark.parametrize("content", [None, "", "{}", '{"sessions": []}', '{"sessions": [{"backend": "toy"}]}'], ids=str)
def test_what_cannot_be_shown_to_be_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    run = tmp_path / "run"
    if content is None:
        (run / "train" / "epoch-1").mkdir(parents=True)
        (run / "train" / "epoch-1" / "Loss.log").write_text("0.5,8\n")
    else:
        run.mkdir()
        (run / "experiment.json").write_text(content)
    with pytest.raises(DirectoryError, match="A directory holds one run"):
        toy.build(plain(run))


def test_files_of_others_stay(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for path in (run / "train" / "epoch-1" / "notes.txt", run / "test" / "clean" / "Loss.log", run / "notes.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    (run / "checkpoint").mkdir()
    with pytest.raises(ValueError, match="no such file"):
        toy.fit(plain(run), Broken())
    toy.fit(plain(run))
    assert [path.read_text() for path in run.rglob("*") if path.name == "notes.txt"] == ["kept", "kept"]
    assert (run / "test" / "clean" / "Loss.log").read_text() == "kept"
