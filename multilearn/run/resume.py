"""Finding the checkpoint to resume from, and what comes along with it. Nothing here writes to the run it comes from."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder, Contents, MpkGzRecorder, Recorder
from multilearn.checkpoint.manifest import steadily
from multilearn.errors import CheckpointNotFound, ConfigurationError, DirectoryError, RecordError
from multilearn.events import START, Position, Split
from multilearn.history import Monitor
from multilearn.protocols import Engine, Record
from multilearn.records.journal import Journal
from multilearn.run.directory import holds_traces
from multilearn.run.experiment import earlier
from multilearn.run.obstacles import refuse_obstacles
from multilearn.run.recorded_history import journal_of, newest_with_history
from multilearn.storage.layout import RunDirectory

__all__ = [
    "Located",
    "Resume",
    "ResumePoint",
    "find",
    "folder_of",
    "in_half_precision",
    "items",
    "limits_of",
    "locate",
    "read",
]

_SHOWN = 200  # characters of what is wrong
_SCHEDULE_LIMIT = 64 << 20
"""Bytes: far more than progress and history take, for metrics that keep all their scores."""


@dataclass(frozen=True)
class Resume:
    """Where to resume from: `which` is a position as text, `"latest"` or `"best"`; `directory` another run's, which was
    `written` like this."""

    which: str
    directory: Path | None = None
    written: str | None = field(default=None, compare=False)

    def is_of(self, path: Path) -> bool:
        """Whether it is the run in `path` itself, by whatever name."""
        return self.directory is None or os.path.realpath(self.directory) == os.path.realpath(path)


@dataclass(frozen=True)
class ResumePoint:
    """Where a run begins: at the start, or at `position` with its `parts` and its `journal`.

    `notes` is what is to be said.
    """

    position: Position = START
    parts: Mapping[str, Record] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    source: Path | None = None
    notes: tuple[str, ...] = ()

    def finals(self) -> Mapping[Split, Mapping[str, Mapping[int, float]]]:
        """The epoch values up to there, by split, metric and epoch."""
        return self.journal.history.table()

    def texts(self, split: Split) -> Collection[str]:
        """The metrics of the last epoch whose values are texts."""
        return self.parts["scheduler"]["metrics"].get("texts", {}).get(split, {}) if self.parts else ()


@dataclass(frozen=True)
class Located:
    """A checkpoint of a folder, None if none is intact; `notes` are warnings for the user."""

    folder: CheckpointFolder
    position: Position | None
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        """The directory of the run that it is of."""
        return self.folder.path.parent


def folder_of(resume: Resume, path: Path, recorder: Recorder | None = None) -> CheckpointFolder:
    """Where the checkpoints are among which `resume` names one; `path` as for `locate`."""
    source = path if resume.directory is None else resume.directory
    return CheckpointFolder(RunDirectory(source).checkpoints, recorder or MpkGzRecorder())


def find(resume: Resume | None, path: Path, recorder: Recorder | None, epochs: int, engine: Engine) -> ResumePoint:
    """The checkpoint that `.checkpoint(...)` asked for, read; `epochs` is the number of them in total.

    Raises `CheckpointNotFound` (naming those that exist), `RecordError` for a damaged one, `ConfigurationError` if the
    run is already further than `num_epochs`.
    """
    if resume is None:
        return ResumePoint()
    folder = folder_of(resume, path, recorder).path
    return steadily(folder, partial(_found, resume, path, recorder, epochs, engine))


def _found(resume: Resume, path: Path, recorder: Recorder | None, epochs: int, engine: Engine) -> ResumePoint:
    located = locate(resume, path, recorder)
    position, source = located.position, located.source
    if position is None:
        nothing = "No checkpoint is intact" if located.notes else "Nothing was saved"
        return ResumePoint(notes=(*located.notes, f"{nothing} in {source}: starting at epoch 1."))
    if position > Position(epochs):
        raise ConfigurationError(
            "num_epochs is the total number of epochs, and more than that are already done.",
            received=f"num_epochs({epochs}) and the checkpoint {position}",
            remedy=f"Ask for {position.epoch} or more, or resume from an earlier checkpoint.",
        )
    limits = limits_of(engine)
    found = read(located.folder, position, limits)
    journal, problem = journal_of(items(found), located.folder, position)
    skipped = list(located.notes)
    if problem and resume.which == "latest" and (older := newest_with_history(located.folder, position)):
        skipped.append(f"checkpoint {position} is skipped: {problem}")
        position, problem = older, None
        found = read(located.folder, position, limits)
        journal, _ = journal_of(items(found), located.folder, position)
    elif problem:
        skipped.append(
            f"{problem}: of the history up to checkpoint {position} {len(journal)} lines are left. Early stopping, "
            "schedules and strategies that look at it may decide otherwise than in an uninterrupted run."
        )
    notes = [*skipped, f"Resumed from checkpoint {position} of {source}."]
    if in_half_precision(found):
        notes.append("Its weights were stored in half precision: the rest will differ from an uninterrupted run.")
    return ResumePoint(position, items(found), journal, source, tuple(notes))


def locate(resume: Resume, path: Path, recorder: Recorder | None = None) -> Located:
    """The checkpoint that `resume` names, of the run in `path` where it names no other run's directory.

    Raises `CheckpointNotFound`, naming those that exist; for `"latest"` only if another directory holds no run.
    """
    source = path if resume.directory is None else resume.directory
    folder, damage = folder_of(resume, path, recorder).recovered()
    position, notes = _position(resume, folder, source)
    notes = notes if damage is None else (f"{damage}.", *notes)
    if position is None and (origin := _moved_from(source, folder)):
        # the run was moved here, and ended before it saved anything of its own
        folder, position = origin
    return Located(folder, position, notes)


def limits_of(engine: Engine) -> dict[str, int]:
    """How many uncompressed bytes each part of a record for this engine may have."""
    needed = engine.nbytes()
    return {"model": needed, "optim": needed, "scheduler": max(needed, _SCHEDULE_LIMIT)}


def read(folder: CheckpointFolder, position: Position, limits: Mapping[str, int] | None = None) -> dict[str, Contents]:
    """What is in the three parts of a checkpoint. Raises `RecordError` if one is missing or damaged."""
    parts = folder.read(position, limits)
    if missing := {"model", "optim", "scheduler"} - parts.keys():
        received = f"checkpoint {position} in {folder.path} without {', '.join(sorted(missing))}"
        raise RecordError.unusable("A checkpoint to resume from must have its three parts.", received)
    return parts


def items(found: Mapping[str, Contents]) -> dict[str, Record]:
    """The records alone, by part."""
    return {part: contents.item for part, contents in found.items()}


def in_half_precision(found: Mapping[str, Contents]) -> bool:
    """Whether the weights of a checkpoint were rounded when they were written."""
    return found["model"].metadata.get("precision") == "half"


def _position(resume: Resume, folder: CheckpointFolder, source: Path) -> tuple[Position | None, tuple[str, ...]]:
    if resume.which == "latest":
        if resume.directory is not None and not holds_traces(source):
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
    """The other run's checkpoint that the last session of the run in `path` was resumed from, if it is still intact."""
    sessions, _ = earlier(RunDirectory(path).experiment)
    moved = sessions[-1].resumed_from if sessions else None
    if moved is None or os.path.realpath(moved["directory"]) == os.path.realpath(path):
        return None
    origin = RunDirectory(Path(moved["directory"]))
    try:
        position = Position.parse(moved["position"])
        refuse_obstacles(origin)
    except ConfigurationError as error:
        raise DirectoryError(
            "The last session of a run must say which checkpoint of which run it resumed.",
            received=f"{RunDirectory(path).experiment} with resumed_from {str(moved)[:_SHOWN]}: {error}",
            remedy="Restore the file, or start over with LearnerBuilder(directory, overwrite=True).",
        ) from error
    other = replace(folder, path=origin.checkpoints)
    found = position in other.positions() and other.problem(position) is None
    return (other, position) if found else None


def _best(folder: CheckpointFolder, source: Path) -> tuple[Position, tuple[str, ...]]:
    latest, skipped = folder.latest_intact()
    if latest is None:
        raise _missing("best", folder, source)
    journal, _ = journal_of(items(read(folder, latest)), folder, latest)
    intact = [p.epoch for p in folder.positions() if p.batch is None and folder.problem(p) is None]
    best = Monitor().best(journal.history, intact)
    if best is None:
        raise _missing("best", folder, source)
    return Position(best), tuple(skipped)


def _missing(which: str, folder: CheckpointFolder, source: Path) -> CheckpointNotFound:
    existing = ", ".join(str(position) for position in folder.positions()) or "none"
    return CheckpointNotFound(
        "The checkpoint that is asked for must have been saved.",
        received=f"{which!r} of {source}, where there are: {existing}",
        remedy='Use one of these, or "latest".',
    )
