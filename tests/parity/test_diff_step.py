"""A fault on one framework is found by `multilearn diff-step`, and put where it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.processes import BACKENDS, SCRIPTS, Warm, environment, on_each

from multilearn.commands.diff_step.report import sentences
from multilearn.commands.diff_step.steps import StepComparison, compare
from multilearn.run.trace import read

FAULTY = SCRIPTS / "faulty.py"
SOUND, *OTHERS = BACKENDS


# at: which of the other frameworks is the faulty one
FAULTS = [
    (0, "batch", "already the batch: array 0"),
    (0, "weights", "already the weights at start: layers/block.0/inner/kernel"),
    (0, "output", "the first layer whose output differs is layers/block.0/gain (Gain); up to layers/block.0/inner"),
    (0, "loss", "the loss, though all outputs of layers agree"),
    # on TensorFlow, where a tensor can carry a note
    (0, "loss by a note", "the loss, though all outputs of layers agree"),
    (1, "gradient", "look at how layers/block.0/gain (Gain"),
    (0, "update", "though all gradients agree: look at the optimizer"),
    (0, "evaluation", "in evaluation only, the output of layers/block.0/gain (Gain)"),
]


def other(at: int) -> str:
    return OTHERS[at % len(OTHERS)]


@pytest.fixture(scope="module")
def traces(warm: Mapping[str, Warm], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each framework, with the traces of the model without a fault, and with those it has there."""
    folder = tmp_path_factory.mktemp("traces")

    def trace(backend: str) -> None:
        faults = [fault for at, fault, _ in FAULTS if backend == other(at)]
        warm[backend].done(SCRIPTS / "faults.py", folder / backend, backend, "none", *faults)

    on_each(trace)
    return folder


def compared(traces: Path, backend: str, fault: str) -> StepComparison:
    return compare((SOUND, backend), (read(traces / SOUND / "none"), read(traces / backend / fault)), 1e-4)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_sound_model_takes_the_same_step(traces: Path, backend: str) -> None:
    found = compared(traces, backend, "none")
    assert found.same, list(sentences(found))
    assert all(part.differences for part in found.parts)
    assert max(part.largest for part in found.parts[:6]) < 1e-5


@pytest.mark.parametrize(("at", "fault", "said"), FAULTS)
def test_a_fault_is_named(traces: Path, at: int, fault: str, said: str) -> None:
    found = compared(traces, other(at), fault)
    assert not found.same
    assert any(said in sentence for sentence in sentences(found)), list(sentences(found))
    assert fault == "update" or not any("optimizer" in sentence for sentence in sentences(found))


def test_the_command_says_it_and_writes_nothing(tmp_path: Path) -> None:
    faulty = OTHERS[0]
    named = [option for backend in (SOUND, faulty) for option in ("--backend", backend)]
    command = [sys.executable, "-m", "multilearn", "diff-step", str(FAULTY), *named, "--json", "--", "output", faulty]
    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    (found,) = json.loads(ended.stdout)["comparisons"]
    assert found["backends"] == [SOUND, faulty]
    assert found["differs"][0].startswith("the first layer whose output differs is layers/block.0/gain (Gain)")
    assert not list(tmp_path.iterdir())
