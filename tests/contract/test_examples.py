"""Every example, quickly, as a newcomer runs it: it writes what it says, and learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from multilearn import backend

EXAMPLES = Path(__file__).parents[2] / "examples"
VARIABLES = ("MULTILEARN_BACKEND", "KERAS_BACKEND", "MULTILEARN_SEED")
ALONE = len([name for name in ("torch", "tensorflow", "jax") if find_spec(name)]) == 1
WITH_A_LEARNER = ("configured", "custom_metric", "custom_task", "language_model", "tabular_regression")
ELSEWHERE = {"digits": "test_script.py", "resume_elsewhere": "a test of its own"}

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
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    chosen = {} if ALONE else {"MULTILEARN_BACKEND": backend.chosen() or ""}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**kept, **chosen}, input=stdin, capture_output=True, text=True
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
    printed = run(folder, "-c", ONE_AFTER_THE_OTHER, stdin="\n".join(runs))
    parts = dict.fromkeys(("game", "halves", *WITH_A_LEARNER), "")
    for part in printed.split("\x1e")[1:]:
        words, text = part.split("\n", 1)
        parts[words.split()[words.split().index("--directory") + 1]] += text
    return folder, parts


def values(directory: Path, split: str, metric: str) -> list[float]:
    """The value after each epoch."""
    files = sorted((directory / split).glob(f"epoch-*/{metric}.log"), key=lambda file: int(file.parent.name[6:]))
    return [float(file.read_text().splitlines()[-1].removesuffix(",final")) for file in files]


def test_every_example_is_run() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} >= {*WITH_A_LEARNER, "custom_loop", *ELSEWHERE}


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


def test_a_run_goes_on_on_another_framework_as_if_it_had_stayed(tmp_path: Path) -> None:
    """On the same one where no other is installed."""
    printed = run(tmp_path, str(EXAMPLES / "resume_elsewhere.py"), "--quick", "--directory", "moved")
    assert "same: 8 values within the tolerance" in printed
    sessions = json.loads((tmp_path / "moved" / "moved" / "experiment.json").read_text())["sessions"]
    assert sessions[-1]["resumed_from"]["position"] == "1"
