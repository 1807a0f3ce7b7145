"""`multilearn plot`: which runs and metrics are drawn, equal bytes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Command = Callable[..., object]
Write = Callable[..., Path]

FILES = {
    "train/1/Loss": ["1.0,4", "1.0,final"],
    "train/2/Loss": ["0.5,4", "0.5,final"],
    "train/1/LearningRate": ["0.1,4", "0.1,final"],
    "train/2/LearningRate": ["0.1,4", "0.1,final"],
    "valid/1/Loss": ["1.5,4", "1.5,final"],
    "valid/2/Loss": ["0.75,4", "0.75,final"],
    "valid/1/Accuracy": ["0.5,4", "0.5,final"],
    "valid/2/Accuracy": ["0.75,4", "0.75,final"],
    "valid/1/Word": ["x", "x,final"],
    "valid/2/Word": ["x", "x,final"],
}


def texts(path: Path) -> list[str]:
    return [each.text or "" for each in ElementTree.parse(path).iter() if each.tag.endswith("}text")]


def titles(path: Path) -> list[str]:
    return [each.text or "" for each in ElementTree.parse(path).iter() if each.tag.endswith("}title")]


def test_validated_metrics_are_drawn_in_one_picture(command: Command, write_run: Write, tmp_path: Path) -> None:
    write_run("a", FILES)
    ended = command("plot", "a")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "written: curves.svg\n", "")
    assert titles(tmp_path / "curves.svg") == ["Loss", "a, train", "a, valid", "Accuracy", "a, valid"]


def test_equal_runs_have_equal_bytes(command: Command, write_run: Write, tmp_path: Path) -> None:
    for place in ("here", "there"):
        write_run(f"{place}/a", FILES)
        write_run(f"{place}/b", FILES, backend="jax")
        command("plot", f"{place}/a", f"{place}/b", "-o", f"{place}.svg")
    assert (tmp_path / "here.svg").read_bytes() == (tmp_path / "there.svg").read_bytes()


def test_seeds_are_one_line_unless_runs_are_asked_for(command: Command, write_run: Write, tmp_path: Path) -> None:
    for backend in ("torch", "jax"):
        for seed in (1, 2):
            write_run(f"{backend}-{seed}", FILES, backend=backend, seed=seed)
    runs = ["torch-1", "torch-2", "jax-1", "jax-2"]
    assert command("plot", *runs, "--metric", "Accuracy").returncode == 0
    assert titles(tmp_path / "curves.svg")[1:] == ["torch, valid, mean of 2 runs", "jax, valid, mean of 2 runs"]
    assert {"torch", "jax"} <= set(texts(tmp_path / "curves.svg"))
    command("plot", *runs, "--metric", "Accuracy", "--runs")
    assert titles(tmp_path / "curves.svg")[1:] == [f"{run}, valid" for run in runs]


def test_one_backend_with_one_seed_twice_is_two_lines(command: Command, write_run: Write, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_run(name, FILES, seed=seed)
    assert command("plot", "a", "b", "c", "-m", "Accuracy").returncode == 0
    assert titles(tmp_path / "curves.svg")[1:] == ["a, valid", "b, valid", "c, valid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["empty"], "A run's directory holds experiment.json. Received: empty."),
        (["nothing"], "(no such directory)"),
        (["a", "./a"], "Each run is named once"),
        (["begun"], "A curve needs the numbers of a finished epoch. Received: begun."),
        (["texts"], "A curve needs the numbers"),
        (
            ["a", "--metric", "Acuracy"],
            "A metric is plotted by its name. Received: Acuracy. There are: Loss, Accuracy,",
        ),
        (["a", "--metric", "Word"], "A metric is plotted by its name. Received: Word."),
        (["a", "-o", "a.jpg"], "ends with .svg or .pdf or .png. Received: a.jpg."),
        (["a", "-o", "empty/none/a.svg"], "empty/none, not found"),
        (["a", "--metrc", "Loss"], "No such option: --metrc"),
        ([], "Missing argument 'DIR...'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    command: Command, write_run: Write, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_run("a", FILES)
    write_run("begun", {"train/1/Loss": ["1.0,4"]})
    write_run("texts", {"train/1/Word": ["x", "x,final"]})
    before = sorted(tmp_path.rglob("*"))
    ended = command("plot", *arguments)
    assert ended.returncode == 2 and message in ended.stderr
    assert sorted(tmp_path.rglob("*")) == before
