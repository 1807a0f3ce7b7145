"""Tracebacks: the frames of users, and those of the library only where the library is what fails."""

from __future__ import annotations

import logging
import pickle
import shutil
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import toy_experiment as toy

from multilearn.errors import ConfigurationError, DataError, found_in

HERE = Path(__file__).name


def frames(error: BaseException) -> list[str]:
    """The files of the frames below that of the test."""
    return [Path(each.filename).name for each in traceback.extract_tb(error.__traceback__)][1:]


def failing_fit(directory: Path, error: Exception) -> None:
    toy.fit(toy.builder(directory), toy.failing(2, 1, error))


def test_an_error_in_a_loader_comes_with_the_frames_of_the_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(OSError, match="no such image") as found:
        failing_fit(tmp_path / "run", OSError("no such image"))
    # the frame in between is the one that has left out the others
    assert set(frames(found.value)) == {HERE, "toy_experiment.py", "refusals.py"}
    assert frames(found.value).count("refusals.py") == 1
    log = (tmp_path / "run/experiment.log").read_text()
    assert "The run failed at 2.1: OSError." in log and "loop.py" in log
    assert "The run failed" not in capfd.readouterr().err


def test_a_refusal_comes_without_frames_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        toy.build(toy.builder(tmp_path / "run")).fit(toy.train_loader(), toy.valid_loader(), epochs=3)  # type: ignore[call-arg]
    assert set(frames(found.value)) == {"refusals.py"}


def test_an_error_of_the_library_itself_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multilearn.learner.loop.RuleWatch.epoch", None)
    with pytest.raises(TypeError) as found:
        toy.fit(toy.builder(tmp_path / "run"))
    assert frames(found.value)[-1] == "loop.py" and "learner.py" in frames(found.value)


def test_a_variable_keeps_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_TRACEBACK", "full")
    with pytest.raises(OSError) as found:
        failing_fit(tmp_path / "run", OSError())
    assert {"learner.py", "loop.py"} <= set(frames(found.value))


SCRIPT = """
from support import toy_experiment as toy
import multilearn as ml

def fit():
    toy.build(toy.builder("run").renderer(ml.renderers.CliRenderer())).fit(toy.failing(2, 1, {error}))

fit()
"""


def shown(folder: Path, environment: Mapping[str, str], error: str) -> list[str]:
    (folder / "train.py").write_text(SCRIPT.format(error=error))
    ended = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    return (ended.stdout + ended.stderr).splitlines()


def test_a_failure_is_told_once(tmp_path: Path, environment: dict[str, str]) -> None:
    lines = shown(tmp_path, environment, 'OSError("no such image")')
    assert "failed in epoch 2 after 1 batch: OSError" in lines
    assert [line for line in lines if "no such image" in line and "fit(" not in line] == ["OSError: no such image"]


def test_a_refusal_under_multilearn_run_is_what_it_says_and_the_line_that_led_to_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    short = {**environment, "MULTILEARN_TRACEBACK": "short"}
    lines = shown(tmp_path, short, 'ml.errors.DataError("A rule.", received="this", remedy="Do that.")')
    assert not any("Traceback" in line for line in lines)
    assert "multilearn: A rule. Received: this. Found in the training data. Do that." in lines
    shutil.rmtree(tmp_path / "run")
    lines = shown(tmp_path, short, "OSError()")
    assert "Traceback (most recent call last):" in lines


def test_the_line_that_led_to_a_refusal_is_one_of_the_users_own(tmp_path: Path, environment: dict[str, str]) -> None:
    script = """
import contextlib
import multilearn as ml
with contextlib.ExitStack() as stack:
    stack.callback(ml.LearnerBuilder, 3)
"""
    (tmp_path / "train.py").write_text(script)
    short = {**environment, "MULTILEARN_TRACEBACK": "short"}
    command = [sys.executable, "train.py"]
    ended = subprocess.run(command, cwd=tmp_path, env=short, capture_output=True, text=True, timeout=60)
    assert "train.py, line 4: with contextlib.ExitStack() as stack:" in ended.stderr.splitlines()[-1]


def test_a_refusal_of_data_says_once_in_which_they_were_found() -> None:
    with pytest.raises(DataError) as raised, found_in("training data"), found_in(""), found_in("validation data"):
        raise DataError("A rule.", received="a thing", remedy="A remedy.")
    assert str(raised.value) == "A rule. Received: a thing. Found in the validation data. A remedy."
    with pytest.raises(DataError, match=r"^A rule\. Found in the training data\.$"), found_in("training data"):
        raise DataError("A rule.")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
