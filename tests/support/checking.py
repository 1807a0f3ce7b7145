"""What must hold of a run's directory after a fault, and what at its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder
from multilearn.events import Position
from support import processes
from support.processes import files
from support.running import Ended

TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z (INFO|WARNING|ERROR) ")

UNEQUAL = {"calls": None, "written": None}


def expect_nothing_lost(directory: Path, saved: Iterable[str]) -> None:
    """All checkpoints that exist can be read, and the newest is at least as new as any that was said to be saved."""
    folder = CheckpointFolder(directory / "checkpoint")
    newest, skipped = folder.latest_intact()
    assert skipped == []
    for position in folder.positions():
        assert folder.load(position).keys() == {"model", "optim", "scheduler"}
    reported = max(map(Position.parse, saved), default=None)
    assert reported is None or (newest is not None and newest >= reported), f"{reported} was saved, {newest} is there"


def expect_equal_runs(directory: Path, ended: Ended, whole: Path, wholly: Ended) -> None:
    """Weights, history, streams, metric files and records bit for bit; the same files, and nothing beside them."""
    assert ended.code == 0, ended.said
    assert wholly.result and ended.result
    assert {**ended.result, **UNEQUAL} == {**wholly.result, **UNEQUAL}
    assert sorted(files(directory)) == sorted(files(whole))
    processes.expect_equal_runs(directory, whole)
    expect_sound_logs(directory)


def expect_sound_logs(directory: Path) -> None:
    """experiment.json is one; a line of experiment.log that a kill cut off is not gone on with."""
    sessions = json.loads((directory / "experiment.json").read_text(encoding="utf-8"))["sessions"]
    assert sessions[-1]["outcome"] == "completed"
    for line in (directory / "experiment.log").read_bytes().splitlines():
        assert len(TIME.findall(line)) <= 1, line
