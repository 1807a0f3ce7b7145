"""The record `scheduler-N`, intact and of other content than any run has written: what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy
from support.harness import Readers

from multilearn.checkpoint import CheckpointFolder, HostTensor
from multilearn.events import Position

ENDS = ["1", "1.3"]
"""Of an epoch, and inside one, where the metrics go on from what they were."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, and one that was stopped after three batches."""
    base = tmp_path_factory.mktemp("schedules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTILEARN_BACKEND", "toy")
        toy.fit(toy.builder(base / "1", epochs=1))
        described = toy.builder(base / "1.3", epochs=1)
        interrupter = toy.ml.Interrupter()
        watched = toy.Watched(toy.train_loader(), lambda _, number: number == 2 and toy.stop(interrupter, "enough"))
        toy.fit(described.with_interrupter(interrupter), watched)
    return base


def rewritten(base: Path, end: str, parts: dict[str, Any]) -> Path:
    """The run whose checkpoint has these records instead, with checksums that are right."""
    shutil.rmtree(base / "run", ignore_errors=True)
    shutil.copytree(base / end, base / "run")
    folder = CheckpointFolder(base / "run" / "checkpoint")
    (position,) = folder.positions()
    folder.save(position, parts)
    return base / "run"


def parts_of(base: Path, end: str) -> dict[str, Any]:
    folder = CheckpointFolder(base / end / "checkpoint")
    (position,) = folder.positions()
    return folder.load(position)


def test_the_checkpoints_are_sound_before_they_are_mutated(readers: Readers, base: Path) -> None:
    for end in ENDS:
        assert CheckpointFolder(base / end / "checkpoint").positions() == [Position.parse(end)]
        assert readers.read("resumed", rewritten(base, end, parts_of(base, end)))["found"] == {"epochs": 2}


def at(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The tree with another value at that path."""
    first, _, rest = path.partition("/")
    key: Any = int(first) if isinstance(tree, list) else first
    tree[key] = at(tree[key], rest, value) if rest else value
    return tree


@pytest.mark.parametrize("position", [625, -1])
def test_a_place_outside_the_stream_of_numpy_is_refused(readers: Readers, base: Path, position: int) -> None:
    parts = parts_of(base, "1")
    changed = at(parts["scheduler"], "streams/numpy/position", position)
    said = readers.refused("resumed", rewritten(base, "1", {**parts, "scheduler": changed}))
    assert f"the position {position} in the stream of numpy" in said


STATES = [
    *({"total": "a", "count": 1.0}, {"total": 1.0}, {"total": [], "count": 1.0}, {"total": 1.0, "count": []}, {}),
    *({"total": HostTensor.of(np.zeros(3)), "count": 1.0}, {"total": 1.0, "count": {"a": 1}}),
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_metric_that_cannot_go_on_says_so(readers: Readers, base: Path, state: Any) -> None:
    parts = parts_of(base, "1.3")
    changed = at(parts["scheduler"], "metrics/states/train/Loss", state)
    said = readers.refused("resumed_inside", rewritten(base, "1.3", {**parts, "scheduler": changed}))
    assert "Loss" in said
