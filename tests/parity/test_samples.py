"""What pages show below a command is what the command prints: run as a reader would, but for the longest trainings."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import SCRIPTS, Warm, environment, on_each, until
from support.samples import difference, fences, outputs

from multilearn.storage.layout import RunDirectory

ROOT = Path(__file__).parents[2]
TUTORIAL, COMPARING = ROOT / "docs/tutorial.md", ROOT / "docs/comparing.md"
SHOWN = ("torch", "tensorflow")
MULTILEARN = [sys.executable, "-m", "multilearn"]
BOTH = ["--backend", "torch", "--backend", "tensorflow"]


def command(folder: Path, *arguments: object, code: int = 0) -> str:
    """What `multilearn` printed."""
    line = [*MULTILEARN, *map(str, arguments)]
    ended = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def script(page: Path, folder: Path) -> Path:
    """The first program of a page, as train.py."""
    path = folder / "train.py"
    path.write_text(
        next(text for _, language, text in fences(page.read_text(encoding="utf-8")) if language == "python")
    )
    return path


def as_run(text: str) -> str:
    return "\n".join(f"[torch] {line}" for line in text.splitlines())


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tutorial has been followed to the end of its second section."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "printed.txt").write_text(command(folder, "run", script(TUTORIAL, folder), *BOTH))
    return folder


def test_the_tutorial_trains(learner: Path) -> None:
    assert difference(outputs(TUTORIAL)[0], (learner / "printed.txt").read_text()) is None


def test_the_tutorial_stops_resumes_compares_and_lists(learner: Path, warm: Mapping[str, Warm], tmp_path: Path) -> None:
    stopped, resumed, compared, listed = outputs(TUTORIAL)[1:]
    train, where, run = learner / "train.py", tmp_path / "paused", learner / "runs/digits-torch-7"
    pausing = warm["torch"].start(
        SCRIPTS / "pausing.py", "train 4 23", where, train, 100, directory=learner, MULTILEARN_SEED="7"
    )
    until(where.exists, pausing.lives)
    with subprocess.Popen([*MULTILEARN, "stop", run], env=environment()) as stop:
        until(RunDirectory(run).stop.exists, pausing.lives)
        time.sleep(1)  # a run looks for a request twice a second
        where.unlink()
        assert difference("...\n" + stopped, as_run(pausing.wait().said)) is None
        assert stop.wait(60) == 0
    again = warm["torch"].done(train, 100, directory=learner, MULTILEARN_SEED="7")
    assert difference("...\n" + resumed, as_run(again)) is None
    runs = [f"runs/digits-{backend}-42" for backend in SHOWN]
    assert difference(compared, command(learner, "compare", *runs)) is None
    # after 100 epochs roundings of another processor may be an item
    assert difference(listed, command(learner, "list", "runs", "--metric", "Accuracy"), numbers=False) is None


def test_a_script_that_is_tried(tmp_path: Path) -> None:
    script(TUTORIAL, tmp_path)
    (sample,) = outputs(ROOT / "docs/troubleshooting.md")
    assert difference("...\n" + sample, command(tmp_path, "run", "--quick", "train.py", "--backend", "torch")) is None


def test_a_grid_and_its_comparison(warm: Mapping[str, Warm], tmp_path: Path) -> None:
    train = script(COMPARING, tmp_path)
    ended, skipped, compared, different = outputs(COMPARING)
    for sample in (ended, skipped):
        # the first seed only: each cell of the grid is a new process
        assert difference("...\n" + sample, command(tmp_path, "run", "train.py", "--seeds", "1", *BOTH)) is None
    for backend in SHOWN:
        for seed in "23":
            warm[backend].done(train, directory=tmp_path, MULTILEARN_SEED=seed)
    directories = sorted(tmp_path.glob("runs/digits-*"))
    assert difference(compared, command(tmp_path, "compare", *directories)) is None
    pair = [path for path in directories if path.name.endswith("-1")]
    said = command(tmp_path, "compare", *pair, "--tolerance", "1e-8", code=1)
    assert difference("...\n" + different, said, numbers=False) is None


def test_the_readme_shows_the_end_of_the_demo(warm: Mapping[str, Warm], tmp_path: Path) -> None:
    on_each(lambda backend: backend in SHOWN and warm[backend].train(tmp_path / "digits-{backend}"))
    sample, _ = outputs(ROOT / "README.md")
    assert difference(sample, command(tmp_path, "compare", *(f"digits-{backend}" for backend in SHOWN))) is None
