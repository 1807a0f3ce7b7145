"""The seed: what it takes, what it starts anew, who wins, and what the log says of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from toy_backend import STREAM, ToyBackend

import multilearn as ml
from multilearn.checkpoint import CheckpointFolder
from multilearn.errors import BackendError, ConfigurationError
from multilearn.events import Position
from multilearn.seeding import seed
from multilearn.seeding.streams import GlobalStreams


def draws() -> list[float]:
    return [random.random(), float(np.random.random()), float(STREAM.uniform((1,))[0])]


@pytest.mark.parametrize("n", [0, 1, 42, 2**32, 2**63 - 1, np.int64(7), np.uint64(2**63 - 1)])
def test_every_number_below_2_to_the_63_is_a_seed(n: Any) -> None:
    ml.set_seed(n)
    assert seed.current() == int(n)
    assert type(seed.current()) is int
    assert seed.origin() == "set_seed"


@pytest.mark.parametrize("n", [-1, 2**63, 1.0, np.float32(3), True, "7", None, [7]])
def test_what_is_no_seed_is_refused_and_the_one_in_force_stays(n: Any) -> None:
    ml.set_seed(11)
    with pytest.raises(ConfigurationError, match=r"seed must be a whole number from 0 to 2\*\*63 - 1\. Received: "):
        ml.set_seed(n)
    assert seed.current() == 11
    assert seed.origin() == "set_seed"


def test_set_again_every_stream_starts_anew() -> None:
    ml.set_seed(5)
    first = draws()
    assert draws() != first
    ml.set_seed(5)
    assert draws() == first
    ml.set_seed(6)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


def test_a_notebook_cell_run_twice_gives_the_same_model_twice(tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        toy.fit(toy.builder(tmp_path / "run", 2, overwrite=True))
        files.append({**toy.metric_files(tmp_path / "run"), **toy.checkpoint_files(tmp_path / "run")})
    assert files[0] == files[1]


@pytest.mark.parametrize("n", [0, 7, 2**40 + 3])
def test_the_streams_of_python_and_numpy_are_those_of_the_seed(n: int) -> None:
    ml.set_seed(n)
    assert random.random() == random.Random(n).random()
    assert np.random.random() == np.random.RandomState(n % 2**32).random_sample()


def test_the_variable_wins_over_the_script_and_the_log_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_SEED", " 19 ")
    learner = toy.build(toy.builder(tmp_path / "{seed}", 1))
    learner.fit(toy.train_loader())
    assert learner.directory == tmp_path / "19"
    text = (tmp_path / "19/experiment.log").read_text()
    assert "seed 19 (MULTILEARN_SEED, instead of the script's 7)" in text
    assert '"seed": 19' in (tmp_path / "19/experiment.json").read_text()
    monkeypatch.delenv("MULTILEARN_SEED")
    ml.set_seed(19)
    subject = learner._run.subject
    toy.builder(tmp_path / "asked", 1).build(toy.task(), subject.optimizer, subject.scheduler).fit(toy.train_loader())
    assert toy.metric_files(tmp_path / "19") == toy.metric_files(tmp_path / "asked")
    assert "seed 19 (set_seed)" in (tmp_path / "asked/experiment.log").read_text()


def test_where_the_variable_and_the_script_agree_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_SEED", "7")
    ml.set_seed(7)
    assert (seed.current(), seed.origin()) == (7, "set_seed")


@pytest.mark.parametrize("text", ["-1", "1.5", "seven", "0x7", str(2**63), "٣", "1_000"])
def test_a_variable_that_is_no_seed_is_refused_and_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_SEED", text)
    with pytest.raises(ConfigurationError, match=rf"variable MULTILEARN_SEED must be a whole number.*{text}"):
        ml.set_seed(7)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTILEARN_SEED", " ")
    ml.set_seed(7)
    assert seed.current() == 7


def test_a_backend_that_cannot_be_had_is_refused_by_set_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    ml.set_seed(11)
    monkeypatch.setenv("MULTILEARN_BACKEND", "tou")
    with pytest.raises(BackendError, match="'tou'"):
        ml.set_seed(12)
    assert seed.current() == 11
    monkeypatch.setenv("MULTILEARN_BACKEND", "toy")
    ml.set_seed(12)
    assert seed.current() == 12


def test_streams_come_back_from_a_record_as_they_were(tmp_path: Path) -> None:
    ml.set_seed(3)
    np.random.normal()  # leaves half a pair behind
    random.gauss(0, 1)
    folder = CheckpointFolder(tmp_path)
    folder.save(Position(1), {"scheduler": {"streams": GlobalStreams.now().record()}})
    expected = [(random.random(), random.gauss(0, 1), np.random.normal(), np.random.random()) for _ in range(700)]
    ml.set_seed(99)
    GlobalStreams.of_record(folder.load(Position(1))["scheduler"]["streams"]).put_back()
    assert [
        (random.random(), random.gauss(0, 1), np.random.normal(), np.random.random()) for _ in range(700)
    ] == expected


class Settling(ToyBackend):
    """A backend that can be made deterministic, unless it is too late."""

    def __init__(self, late: bool = False) -> None:
        self.asked: list[bool] = []
        self._late = late

    def settle(self, deterministic: bool) -> None:
        if self._late:
            raise BackendError("Too late.", received="a call", remedy="Call earlier.")
        self.asked.append(deterministic)


def test_a_backend_settles_its_numerics_at_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Settling()
    monkeypatch.setattr("multilearn.backend.load", lambda: backend)
    ml.set_seed(3)
    ml.set_seed(3, deterministic=True)
    assert backend.asked == [False, True]


def test_what_cannot_be_deterministic_is_refused_and_the_seed_in_force_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    ml.set_seed(11)
    with pytest.raises(BackendError, match="toy does not say how to make it deterministic"):
        ml.set_seed(12, deterministic=True)
    monkeypatch.setattr("multilearn.backend.load", lambda: Settling(late=True))
    with pytest.raises(BackendError, match="Too late"):
        ml.set_seed(12)
    assert (seed.current(), seed.origin()) == (11, "set_seed")


# each run in a fork of a process in which no seed was ever set
SCRIPT = """
import os
import sys
import multilearn as ml
from support import toy_experiment as toy
from multilearn.seeding import seed
for variable in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        if variable:
            os.environ["MULTILEARN_SEED"] = variable
        learner = toy.builder("{seed}", 1).build(toy.task())
        learner.fit(toy.train_loader())
        assert seed.current() == int(learner.directory.name)
        print(learner.directory.name)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a process in which no seed is set")
def test_where_none_is_set_one_is_drawn_and_recorded_and_the_variable_holds(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-c", SCRIPT, "", "", "23"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    *drawn, of_variable = names = ended.stdout.split()
    assert drawn[0] != drawn[1]
    for name in drawn:
        assert f"seed {name} (drawn)" in (tmp_path / name / "experiment.log").read_text()
        assert f'"seed": {name},' in (tmp_path / name / "experiment.json").read_text()
    assert of_variable == "23"
    assert "seed 23 (MULTILEARN_SEED)" in (tmp_path / "23/experiment.log").read_text()
    assert sorted(os.listdir(tmp_path)) == sorted(names)
