"""The record `scheduler-N`, intact and of other content than any run has written: refused, or gone on from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import toy_experiment as toy
from support.harness import Readers, few, share
from support.mutations import trees

from multilearn.checkpoint import CheckpointFolder, HostTensor
from multilearn.errors import CheckpointError
from multilearn.events import Position

hypothesis.settings.load_profile("mutations")

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


TENSORS = [HostTensor.of(np.zeros(shape, dtype)) for shape in ((), (3,), (2, 2)) for dtype in (np.float32, np.int64)]


@pytest.mark.parametrize("end", ENDS)
@settings(max_examples=share(600))
@given(data=st.data())
def test_records(readers: Readers, base: Path, end: str, data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(["scheduler", "scheduler", "scheduler", "model", "optim"]))
    parts = parts_of(base, end)
    changed = data.draw(trees(parts[part], TENSORS))
    hypothesis.assume(isinstance(changed, dict))
    try:
        run = rewritten(base, end, {**parts, part: changed})
    except CheckpointError:
        return  # nothing that a record has a place for: it is not written in the first place
    readers.read("resumed", run)


def at(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The tree with another value at that path."""
    first, _, rest = path.partition("/")
    key: Any = int(first) if isinstance(tree, list) else first
    tree[key] = at(tree[key], rest, value) if rest else value
    return tree


REFUSED = [
    *(("progress/update", value) for value in (-1, float("inf"), 1.5, True, "1", 2**63, None)),
    *(("progress/skipped", value) for value in (-1, float("nan"), None)),
    *(("progress/accumulation", value) for value in (0, -1, 1.0)),
    *(("seed", value) for value in (-1, 2**63, 1.0, "7", None, True)),
    *(("scheduler/state", value) for value in ([], 1, None)),
    *(("streams/numpy/position", value) for value in (625, -1, 10**6, 1.0)),
    *(("streams/numpy/state", value) for value in ([], [0] * 623, [-1] * 624, [2**32] * 624, ["0"] * 624, 7)),
    *(("streams/numpy/name", value) for value in ("PCG64", 1)),
    *(("streams/numpy/gauss", value) for value in ("0", None)),
    *(("streams/python/state", value) for value in ([], [0] * 624, [2**40] * 625, [0] * 624 + [700])),
    *(("streams/python/gauss", value) for value in ("0", [])),
    *(("streams/python/version", value) for value in (2, "3")),
    ("random", None),
    # as version 0.1 wrote it
    *(("metrics/history", {"train": {"Loss": value}}) for value in (1, [1], [[1]], [[1, "0"]])),
    *(("metrics/history", {"train": {"Loss": [[epoch, 0.5]]}}) for epoch in (2, 0, 1.0, True)),
    ("metrics/history", {"test2": {}}),
    ("metrics/history", []),
    ("metrics/states", {"train": 1}),
    ("metrics/states", {"train": {"Loss": [1]}}),
    ("metrics/texts", {"train": {"Matrix": 1}}),
]


@pytest.mark.parametrize(("path", "value"), few(REFUSED), ids=lambda case: str(case)[:30])
def test_what_no_run_has_written_is_refused_by_its_name(readers: Readers, base: Path, path: str, value: Any) -> None:
    parts = parts_of(base, "1")
    said = readers.refused("resumed", rewritten(base, "1", {**parts, "scheduler": at(parts["scheduler"], path, value)}))
    assert "The record of the schedule must be as this version writes it" in said


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
