"""Finding the checkpoint to go on from, and what comes along with it. Nothing here writes to the run it comes from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from multilearn.artifacts import RunDirectory
from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder, nbytes
from multilearn.errors import CheckpointNotFound, ConfigurationError, RecordError
from multilearn.events import Split
from multilearn.experiment import earlier, holds_run
from multilearn.history import History, Monitor
from multilearn.position import START, Position
from multilearn.protocols import Engine, Record
from multilearn.settings import Resume, Settings

__all__ = ["Found", "copy_metric_files", "find"]


_SCHEDULE_LIMIT = 64 << 20
"""Bytes: far more than progress and history take, for metrics that keep all their scores."""


@dataclass(frozen=True)
class Found:
    """Where a run begins: at the start, or at `position` with its `parts`; `notes` is what is to be said aloud."""

    position: Position = START
    parts: Mapping[str, Record] = field(default_factory=dict)
    source: Path | None = None
    notes: tuple[str, ...] = ()


def find(settings: Settings, path: Path, engine: Engine) -> Found:
    """The checkpoint that `.checkpoint(...)` asked for.

    Raises `CheckpointNotFound` (naming those that exist), `RecordError` for a damaged one, `ConfigurationError` if the
    run has already gone on further than `num_epochs`.
    """
    resume = settings.resume
    if resume is None:
        return Found()
    source = path if resume.directory is None else resume.directory
    folder = CheckpointFolder(RunDirectory(source).checkpoints, settings.recorder or MpkGzRecorder())
    position, notes = _position(resume, folder, source)
    if position is None and resume.directory is None and (origin := _moved_from(path, folder)):
        # the run was moved here, and ended before it saved anything of its own
        folder, position = origin
        source = folder.path.parent
    if position is None:
        nothing = "No checkpoint is intact" if notes else "Nothing was saved"
        return Found(notes=(*notes, f"{nothing} in {source}: starting at epoch 1."))
    if position > Position(settings.epochs):
        raise ConfigurationError(
            "num_epochs is the total number of epochs, and more than that are already done.",
            received=f"num_epochs({settings.epochs}) and the checkpoint {position}",
            remedy=f"Ask for {position.epoch} or more, or go on from an earlier checkpoint.",
        )
    needed = nbytes(engine.record())
    limits = {"model": needed, "optim": needed, "scheduler": max(needed, _SCHEDULE_LIMIT)}
    parts = _load(folder, position, limits)
    return Found(position, parts, source, (*notes, f"Going on from checkpoint {position} of {source}."))


def copy_metric_files(source: Path, target: Path, position: Position) -> None:
    """Copy the metric files of the epochs up to `position` from one run's directory into another's."""
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in RunDirectory(source).epochs(split).items():
            if epoch <= position.epoch:
                copy = RunDirectory(target).epoch(split, epoch)
                copy.mkdir(parents=True, exist_ok=True)
                for file in folder.glob("*.log"):
                    shutil.copyfile(file, copy / file.name)


def _position(resume: Resume, folder: CheckpointFolder, source: Path) -> tuple[Position | None, tuple[str, ...]]:
    if resume.which == "latest":
        if resume.directory is not None and not holds_run(source):
            raise CheckpointNotFound(
                "Another run's directory must hold a run.",
                received=f"{source}, which holds none",
                remedy="Check the path.",
            )
        latest, skipped = folder.latest_intact()
        return latest, tuple(skipped)
    if resume.which == "best":
        return _best(folder, source)
    wanted = Position.parse(resume.which)
    if wanted not in folder.positions():
        raise _missing(resume.which, folder, source)
    return wanted, ()


def _moved_from(path: Path, folder: CheckpointFolder) -> tuple[CheckpointFolder, Position] | None:
    """The other run's checkpoint that the last session of the run in `path` went on from, if it is still intact."""
    sessions, _ = earlier(RunDirectory(path).experiment)
    moved = sessions[-1].resumed_from if sessions else None
    if moved is None or Path(moved["directory"]).resolve() == path.resolve():
        return None
    other = replace(folder, path=RunDirectory(Path(moved["directory"])).checkpoints)
    position = Position.parse(moved["position"])
    found = position in other.positions() and other.problem(position) is None
    return (other, position) if found else None


def _best(folder: CheckpointFolder, source: Path) -> tuple[Position, tuple[str, ...]]:
    latest, skipped = folder.latest_intact()
    if latest is None:
        raise _missing("best", folder, source)
    history = History.from_state(_load(folder, latest)["scheduler"]["metrics"]["history"])
    intact = [p.epoch for p in folder.positions() if p.batch is None and folder.problem(p) is None]
    best = Monitor().best(history, intact)
    if best is None:
        raise _missing("best", folder, source)
    return Position(best), tuple(skipped)


def _load(folder: CheckpointFolder, position: Position, limits: Mapping[str, int] | None = None) -> dict[str, Record]:
    parts = folder.load(position, limits)
    if missing := {"model", "optim", "scheduler"} - parts.keys():
        raise RecordError(
            "A checkpoint to go on from must have its three parts.",
            received=f"checkpoint {position} in {folder.path} without {', '.join(sorted(missing))}",
            remedy="Go on from another one.",
        )
    return parts


def _missing(which: str, folder: CheckpointFolder, source: Path) -> CheckpointNotFound:
    existing = ", ".join(str(position) for position in folder.positions()) or "none"
    return CheckpointNotFound(
        "The checkpoint to go on from must have been saved.",
        received=f"{which!r} of {source}, where there are: {existing}",
        remedy='Use one of these, or "latest".',
    )
