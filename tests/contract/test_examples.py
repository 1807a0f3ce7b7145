"""Every example, quickly, as a newcomer runs it: it writes what it says, and learns."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.environments import EXAMPLES, unchosen

from multilearn import backend

ALONE = len([name for name in ("torch", "tensorflow", "jax") if find_spec(name)]) == 1
WITH_A_LEARNER = ("configured", "custom_metric", "custom_task", "language_model", "tabular_regression")

# Each as a script of its own, but in one process: importing a framework is what takes time.
ONE_AFTER_THE_OTHER = r"""
import runpy, sys

for words in sys.stdin.read().splitlines():
    script, *sys.argv[1:] = words.split()
    sys.argv[0] = script
    print("\x1e" + words, flush=True)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, (script, ended.code)
"""


def run(folder: Path, *command: str, stdin: str = "") -> str:
    """The output, with nothing set where only one framework is installed."""
    chosen = {} if ALONE else {"MULTILEARN_BACKEND": backend.chosen() or ""}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=unchosen(**chosen), input=stdin, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Where the examples ran, and what each printed, by its directory."""
    folder = tmp_path_factory.mktemp("examples")
    runs = [f"{EXAMPLES / name}.py --quick --directory {name}" for name in WITH_A_LEARNER]
    loop = f"{EXAMPLES / 'custom_loop'}.py --quick --directory"
    runs += [f"{loop} game", f"{loop} halves --epochs 2", f"{loop} halves --resume"]
    gan = f"{EXAMPLES / 'gan'}.py --quick --directory"
    runs += [f"{gan} ring", f"{gan} rings --epochs 2", f"{gan} rings --epochs 4 --resume"]
    # without --directory: by the last option, which differs
    digits = EXAMPLES / "digits.py"
    runs += [f"{digits} --quick", f"{digits} --quick --checkpoint latest --epochs 3"]
    printed = run(folder, "-c", ONE_AFTER_THE_OTHER, stdin="\n".join(runs))
    parts: dict[str, str] = {}
    for part in printed.split("\x1e")[1:]:
        words, text = part.split("\n", 1)
        options = words.split()
        name = options[options.index("--directory") + 1] if "--directory" in options else options[-1]
        parts[name] = parts.get(name, "") + text
    return folder, parts


def values(directory: Path, split: str, metric: str) -> list[float]:
    """The value after each epoch."""
    files = sorted((directory / split).glob(f"epoch-*/{metric}.log"), key=lambda file: int(file.parent.name[6:]))
    return [float(file.read_text().splitlines()[-1].removesuffix(",final")) for file in files]


def test_every_example_is_run() -> None:
    # the last one by tests/parity, for it takes two frameworks
    here = {*WITH_A_LEARNER, "custom_loop", "digits", "gan", "resume_elsewhere"}
    assert {file.stem for file in EXAMPLES.glob("*.py")} == here


@pytest.mark.parametrize("name", WITH_A_LEARNER)
def test_an_example_learns_and_leaves_a_whole_run(outputs: tuple[Path, dict[str, str]], name: str) -> None:
    directory, printed = outputs[0] / name, outputs[1][name]
    losses = values(directory, "train", "Loss")
    assert len(losses) >= 2
    assert losses == sorted(losses, reverse=True)
    assert printed.startswith(f"training for {len(losses)} epochs, in {name}\n")
    assert f"{losses[-1]:.4f}" in printed.split("summary")[1]
    sessions = json.loads((directory / "experiment.json").read_text())["sessions"]
    assert [(session["backend"], session["position"]) for session in sessions] == [(backend.chosen(), str(len(losses)))]
    assert (directory / "checkpoint" / f"model-{len(losses)}.mpk.gz").exists()


def test_the_custom_metric_is_the_mean_probability_of_the_right_class(outputs: tuple[Path, dict[str, str]]) -> None:
    directory = outputs[0] / "custom_metric"
    plain, floored = (values(directory, "valid", name) for name in ("Confidence", "Confidence(floor=0.5)"))
    assert plain == sorted(plain)
    assert all(0 < low <= high < 1 for low, high in zip(floored, plain, strict=True))
    # by Jensen's inequality the mean log probability is at most the log of the mean
    assert all(
        value >= 2.718281828**-loss for value, loss in zip(plain, values(directory, "valid", "Loss"), strict=True)
    )


def test_the_two_losses_of_the_custom_task_add_up(outputs: tuple[Path, dict[str, str]]) -> None:
    directory = outputs[0] / "custom_task"
    for split in ("train", "valid"):
        parts = [values(directory, split, f"Mean({field})") for field in ("restoring", "sparsity")]
        added = [restoring + 0.01 * sparsity for restoring, sparsity in zip(*parts, strict=True)]
        assert values(directory, split, "Loss") == pytest.approx(added, rel=1e-5)


def test_the_custom_loop_goes_on_exactly_where_it_was_stopped(outputs: tuple[Path, dict[str, str]]) -> None:
    folder, printed = outputs
    assert printed["game"].splitlines()[2:] == printed["halves"].splitlines()[-3:]
    assert "epoch 3/4  discriminator " in printed["game"]
    for player in ("discriminator", "generator"):
        manifests = [json.loads((folder / run / player / "manifest.json").read_text()) for run in ("game", "halves")]
        assert manifests[0] == manifests[1]
        assert (folder / "game" / player / "model-4.mpk.gz").exists()


def test_the_gan_comes_nearer_and_goes_on_exactly_where_it_was_stopped(outputs: tuple[Path, dict[str, str]]) -> None:
    folder, printed = outputs
    distances = [float(line.split()[3]) for line in printed["rings"].splitlines() if line.startswith("drawn points")]
    assert distances[1] < distances[0]
    assert printed["ring"].splitlines()[-1] == printed["rings"].splitlines()[-1]
    for turn in ("critic", "generator"):
        losses = [values(folder / run, "train", f"{turn}_Loss") for run in ("ring", "rings")]
        assert losses[0] == losses[1]
        assert len(losses[0]) == 4


@pytest.fixture(scope="module")
def digits(outputs: tuple[Path, dict[str, str]]) -> tuple[Path, str, str]:
    """The directory of two epochs of the digits and one more, and what was printed each time."""
    folder, printed = outputs
    return folder / "runs" / f"digits-{backend.chosen()}", printed["--quick"], printed["3"]


def test_the_digits_are_trained_on_and_told_of_in_calm_lines(digits: tuple[Path, str, str]) -> None:
    directory, first, _ = digits
    lines = first.splitlines()
    assert lines[0] == f"training for 2 epochs, in runs/{directory.name}"
    assert [line.split()[:2] for line in lines[1:3]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert lines[3].startswith("completed 2 epochs in ")
    assert lines[4] == "summary"
    assert not any(character in first for character in "\r\x1b")


def test_the_digits_go_on_from_the_latest_checkpoint(digits: tuple[Path, str, str]) -> None:
    directory, _, second = digits
    assert second.startswith(f"resuming with epoch 3 of 3, in runs/{directory.name}\nepoch 3/3 ")
    assert sorted(folder.name for folder in (directory / "train").iterdir()) == ["epoch-1", "epoch-2", "epoch-3"]
    sessions = json.loads((directory / "experiment.json").read_text())["sessions"]
    assert [session["backend"] for session in sessions] == [backend.chosen()] * 2
    assert [session["position"] for session in sessions] == ["2", "3"]


def test_the_summary_of_the_digits_shows_what_the_files_hold(digits: tuple[Path, str, str]) -> None:
    directory, _, second = digits
    assert f"{values(directory, 'valid', 'Loss')[-1]:.4f}" in second.split("summary")[1]
