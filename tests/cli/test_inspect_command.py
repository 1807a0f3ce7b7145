"""`multilearn inspect`: runs and records, intact and not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multilearn.checkpoint import CheckpointFolder, HostTensor, MpkGzRecorder, MpkRecorder, SafetensorsRecorder
from multilearn.events import Position

Command = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., Path]

FILES = {
    "train/1/Loss": ["2.0,8", "2.0,final"],
    "train/2/Loss": ["1.0,8", "1.0,final"],
    "train/3/Loss": ["0.5,8"],
}
MODEL = {
    "layers": {"dense.0": {"kernel": HostTensor.of(np.zeros((3, 2), np.float32))}},
    "steps": [HostTensor.of(np.array(7, np.int64))],
    "stream": list(range(624)),
    "order": {"seed": 42, "kind": "philox", "empty": {}},
}


@pytest.fixture
def saved(write_run: Write, session: Callable[..., dict[str, Any]]) -> Path:
    """A run in two sessions with checkpoints of its first two epochs."""
    killed = session("jax", ended=None, outcome=None, position=None, started="2026-01-03T00:00:00Z")
    resumed = {**killed, "resumed_from": {"directory": "run", "position": "2"}}
    directory = write_run("run", FILES, sessions=[session("torch"), resumed])
    folder = CheckpointFolder(directory / "checkpoint", MpkGzRecorder())
    for epoch in (1, 2):
        folder.save(Position(epoch), {"model": MODEL, "scheduler": {"epoch": epoch}})
    return directory


@pytest.mark.parametrize("name", ["run", "run/checkpoint"])
def test_a_run_shows_what_was_declared_how_it_ended_and_its_checkpoints(
    command: Command, saved: Path, name: str
) -> None:
    done = command("inspect", name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    size = sum(path.stat().st_size for path in (saved / "checkpoint").glob("*-2.mpk.gz"))
    assert 1000 < size < 10_000
    assert lines[1:4] == [
        "seed 42",
        "metrics Loss (train, valid), Accuracy (train, valid)",
        "epochs 2 finished",
    ]
    assert lines[5:8] == [
        "sessions",
        "1 torch cpu:0 2026-01-02T03:04:05+00:00 from the start completed at 2",
        "2 jax cpu:0 2026-01-03T00:00:00Z from 2 of run did not end: killed, or still running",
    ]
    assert lines[-3:] == [f"2 {size / 1000:.1f} kB intact", "", "intact"]


def test_a_run_as_json(command: Command, saved: Path) -> None:
    found = json.loads(command("inspect", "run", "--json").stdout)
    assert (found["seed"], found["epochs"], found["intact"], found["problems"]) == (42, [1, 2], True, [])
    assert [(each["position"], each["problem"]) for each in found["checkpoints"]] == [("1", None), ("2", None)]
    assert [each["backend"] for each in found["sessions"]] == ["torch", "jax"]


def test_a_changed_checkpoint_is_named_and_the_others_are_intact(command: Command, saved: Path) -> None:
    damage(saved / "checkpoint" / "model-1.mpk.gz")
    (saved / "checkpoint" / "scheduler-1.mpk.gz").unlink()
    done = command("inspect", "run")
    assert done.returncode == 1
    (first,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ["1"] and "model-1" in line]
    assert "model-1.mpk.gz" in first and "scheduler-1.mpk.gz is missing" in first
    assert done.stdout.splitlines()[-1] == "1 checkpoint not intact"
    found = json.loads(command("inspect", "run", "--json").stdout)
    assert [each["problem"] is None for each in found["checkpoints"]] == [False, True]
    assert not found["intact"]


def test_a_broken_manifest_and_a_broken_metric_file_are_said_and_the_rest_is_shown(
    command: Command, saved: Path
) -> None:
    (saved / "checkpoint" / "manifest.json").write_text("{")
    (saved / "train" / "epoch-1" / "Loss.log").write_text("1.0,2,3\n")
    done = command("inspect", "run")
    assert done.returncode == 1
    assert "Loss.log" in done.stdout.splitlines()[-2] and "manifest.json" in done.stdout.splitlines()[-1]
    assert "torch" in done.stdout and "epochs     not known" in done.stdout


def test_a_run_without_checkpoints_is_intact(command: Command, write_run: Write) -> None:
    write_run("plain", FILES, metrics=[], sessions=[])
    done = command("inspect", "plain")
    assert done.returncode == 0
    assert done.stdout.splitlines()[5:] == [
        *("sessions", "none", ""),
        *("preconditions", f"weights at start  {'ab' * 6}", ""),
        *("epochs", "epoch  train Loss", "    1      2.0000", "    2      1.0000", ""),
        *("checkpoints", "none", "", "intact"),
    ]


def test_the_values_of_every_epoch_are_shown(command: Command, write_run: Write) -> None:
    files = {**FILES, "valid/1/Accuracy": ["0.5,4", "0.5,final"], "valid/2/Accuracy": ["0.75,4", "0.75,final"]}
    write_run("run", files)
    lines = [line.split() for line in command("inspect", "run").stdout.splitlines()]
    assert ["epoch", "train", "Loss", "valid", "Accuracy"] in lines
    assert ["2", "1.0000", "75.00", "%"] in lines
    values = json.loads(command("inspect", "run", "--json").stdout)["values"]
    assert {"epoch": 2, "split": "valid", "metric": "Accuracy", "value": 0.75} in values
    assert len(values) == 4


def test_a_record_shows_its_metadata_keys_and_sizes(command: Command, saved: Path) -> None:
    done = command("inspect", "run/checkpoint/model-2.mpk.gz")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["checkpoint", "2"] in lines
    assert ["layers/dense.0/kernel", "F32", "[3,", "2]", "24", "B"] in lines
    assert ["steps/0", "I64", "[]", "8", "B"] in lines
    assert ["stream", "list", "of", "624"] in lines
    assert ["order/kind", "'philox'"] in lines
    assert ["order/empty", "{}"] in lines
    assert done.stdout.splitlines()[-1] == "intact: 2 tensors of 32 B"


def test_a_record_as_json(command: Command, saved: Path) -> None:
    found = json.loads(command("inspect", "run/checkpoint/model-2.mpk.gz", "--json").stdout)
    entries = {each["key"]: each for each in found["entries"]}
    assert entries["layers/dense.0/kernel"] == {
        "key": "layers/dense.0/kernel",
        "dtype": "F32",
        "shape": [3, 2],
        "bytes": 24,
        "value": None,
    }
    assert entries["order/seed"]["value"] == "42"
    assert (found["total"], found["intact"], found["problem"], found["metadata"]["checkpoint"]) == (32, True, None, "2")
    assert found["size"] == (saved / "checkpoint" / "model-2.mpk.gz").stat().st_size


@pytest.mark.parametrize("content", [None, b"", b"no gzip", b"\x1f\x8b\x08"], ids=["flipped", "empty", "text", "cut"])
def test_a_damaged_record_is_not_intact(command: Command, saved: Path, content: bytes | None) -> None:
    path = saved / "checkpoint" / "model-2.mpk.gz"
    if content is None:
        damage(path)
    else:
        path.write_bytes(content)
    done = command("inspect", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("not intact: A record must")
    assert json.loads(command("inspect", path, "--json").stdout)["intact"] is False


def test_a_large_tensor_of_zeros_is_within_what_may_be_read(command: Command, tmp_path: Path) -> None:
    with open(tmp_path / "zeros.mpk.gz", "wb") as file:
        MpkGzRecorder().write(file, {"zeros": HostTensor.of(np.zeros(20_000_000, np.uint8))}, {})
    done = command("inspect", "zeros.mpk.gz")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "intact: 1 tensor of 20.0 MB"


@pytest.mark.parametrize("recorder", [MpkRecorder, SafetensorsRecorder])
def test_a_run_and_its_records_are_shown_in_every_format(command: Command, saved: Path, recorder: Any) -> None:
    folder = CheckpointFolder(saved / "checkpoint", recorder())
    folder.save(Position(3), {"model": MODEL, "scheduler": {"epoch": 3}})
    run = json.loads(command("inspect", "run", "--json").stdout)
    assert {each["position"]: each["problem"] for each in run["checkpoints"]} == dict.fromkeys("123")
    path = saved / f"checkpoint/model-3.{recorder.extension}"
    found, gzipped = (
        json.loads(command("inspect", each, "--json").stdout) for each in (path, saved / "checkpoint/model-2.mpk.gz")
    )
    assert found["metadata"] == {"format": "multilearn", "version": 1, "part": "model", "checkpoint": "3"}
    assert found["entries"] == gzipped["entries"]
    path.write_bytes(path.read_bytes()[:-1])
    done = command("inspect", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "not intact: A record must be complete." in done.stdout
    assert "1 checkpoint not intact" in command("inspect", "run").stdout


def test_a_safetensors_file_of_another_program_is_shown(command: Command, tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"model.weight": np.zeros((2, 2), np.float16)}, tmp_path / "a.safetensors", {"format": "pt"})
    lines = [line.split() for line in command("inspect", "a.safetensors").stdout.splitlines()]
    assert ["format", "pt"] in lines
    assert ["model.weight", "F16", "[2,", "2]", "8", "B"] in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "Received: nowhere (no such directory)."),
        (["."], "A run's directory holds experiment.json. Received: .."),
        (["checkpoint"], "Received: checkpoint."),
        ([], "DIR|FILE"),
        (["run", "run"], "unexpected extra argument"),
    ],
)
def test_what_is_no_run_and_no_record_is_refused(
    command: Command, saved: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "checkpoint").mkdir()
    done = command("inspect", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def damage(path: Path) -> None:
    """Flip one bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_a_run_had_before_it_and_ran_on_is_shown_as_compare_judges_it(
    command: Command, write_run: Write, session: Callable[..., dict[str, Any]]
) -> None:
    ran_on = {"threads": {"OMP_NUM_THREADS": "2", "XLA_FLAGS": None}, "numerics": {"tf32": False, "threads": 4}}
    write_run("run", FILES, sessions=[session("torch", **ran_on, machine={"cpu": "x\x1b[2J"})])
    lines = command("inspect", "run").stdout.splitlines()
    shown = [" ".join(line.split()) for line in lines[lines.index("preconditions") + 1 :]]
    assert shown[: shown.index("")] == [
        f"weights at start {'ab' * 6}",
        "versions keras 3.15.1",
        "threads OMP_NUM_THREADS 2, torch threads 4",
        "TF32 off",
        r"machine cpu x\x1b[2J",
        "devices 1: cpu:0",
    ]
