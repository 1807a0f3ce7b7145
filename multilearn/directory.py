"""The directory of a run: what it holds already, taking hold of it, and bringing it to where a run begins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from multilearn.artifacts import RunDirectory
from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import DirectoryError
from multilearn.events import Split
from multilearn.experiment import Session, earlier
from multilearn.lock import locked
from multilearn.position import START, Position

if TYPE_CHECKING:
    from multilearn.resuming import Found
    from multilearn.settings import Settings

__all__ = ["holds_run", "placed", "prepare", "refuse_existing_run", "refuse_unwritable", "taken"]


def holds_run(path: Path) -> bool:
    """Whether there is anything of a run in the directory."""
    run = RunDirectory(path)
    return run.experiment.exists() or run.checkpoints.exists() or any(run.epochs(split) for split in Split)


def refuse_existing_run(path: Path) -> None:
    """Raise `DirectoryError`, saying how the run ended, if the directory holds one."""
    if not holds_run(path):
        return
    sessions, _ = earlier(RunDirectory(path).experiment)
    raise DirectoryError(
        "A directory holds one run.",
        received=f"{path}, which holds one that {_ending(sessions)}",
        remedy='Go on from it with .checkpoint("latest"), replace it with LearnerBuilder(directory, overwrite=True), '
        "or use another directory.",
    )


def refuse_unwritable(path: Path) -> None:
    """Raise `DirectoryError` if the directory cannot be made, or not be written to."""
    existing = next(folder for folder in (path, *path.absolute().parents) if _is_seen(folder))
    if not existing.is_dir():
        raise DirectoryError(
            "The directory of a run must be a directory.",
            received=f"{existing}, which is a file",
            remedy="Use another.",
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DirectoryError(
            "The directory of a run must be writable.",
            received=f"{path}, and {existing} is not",
            remedy="Use another directory, or change its permissions.",
        )


def placed(settings: Settings, backend: str, seed: int) -> tuple[Settings, Path]:
    """The settings and the path of a run whose backend and seed are known.

    Raises `DirectoryError` for a directory that cannot be written to, or holds a run that nothing is said of.
    """
    path = Path(settings.directory.replace("{backend}", backend).replace("{seed}", str(seed)))
    refuse_unwritable(path)
    resume = settings.resume
    if resume is not None and resume.is_of(path):
        # also where it is named like another run's: what is gone on from must never be overwritten
        return replace(settings, resume=replace(resume, directory=None)), path
    if not settings.overwrite:
        refuse_existing_run(path)
    return settings, path


@contextmanager
def taken(run: RunDirectory) -> Iterator[None]:
    """Make the directory and hold its lock. Raises `DirectoryError` where that is not possible."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        holding = locked(run.lock)
        holding.__enter__()
    except OSError as error:
        raise DirectoryError(
            "The directory of a run must be writable.", received=f"{run.path}: {error}", remedy="Use another directory."
        ) from error
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def prepare(run: RunDirectory, settings: Settings, found: Found) -> list[str]:
    """Bring the directory to the state from which the run begins. Returns what is to be said aloud."""
    notes: list[str] = []
    if settings.resume is not None and settings.resume.directory is None:
        notes = _give_up_later(run, settings, found.position)
    elif settings.overwrite:
        _clear(run.path)
    else:
        refuse_existing_run(run.path)
    if found.source not in (None, run.path):
        _copy_metric_files(found.source, run.path, found.position)
    return notes


def _give_up_later(run: RunDirectory, settings: Settings, position: Position) -> list[str]:
    later: list[str] = []
    stay = None
    if settings.recorder is not None:
        folder = CheckpointFolder(run.checkpoints, settings.recorder)
        folder.clean()
        later += [f"checkpoint {withdrawn}" for withdrawn in folder.withdraw(position)]
    elif kept := [each for each in CheckpointFolder(run.checkpoints).positions() if each > position]:
        stay = f"Without a checkpointer these checkpoints stay as they are: {', '.join(map(str, kept))}."
    removed = [_remove_metric_files(run, split, position.epoch) for split in (Split.TRAIN, Split.VALID)]
    later += [f"epoch {epoch}" for epoch in sorted({epoch for epochs in removed for epoch in epochs})]
    place = "the start" if position == START else position
    given_up = f"What came after {place} is given up: {', '.join(later)}." if later else None
    return [note for note in (given_up, stay) if note]


def _clear(path: Path) -> None:
    """Remove the files of a run, and the folders that are empty then; nothing that is not of our layout."""
    run = RunDirectory(path)
    CheckpointFolder(run.checkpoints, MpkGzRecorder()).clear()
    for split in Split:
        _remove_metric_files(run, split)
        _remove_if_empty(path / split)
    _remove_evaluations(path / Split.TEST)
    for file in (run.experiment, run.log):
        file.unlink(missing_ok=True)


def _remove_evaluations(path: Path) -> None:
    for folder in path.glob("*") if path.is_dir() else ():
        for file in folder.glob("*.log"):
            file.unlink()
        _remove_if_empty(folder)
    _remove_if_empty(path)


def _remove_metric_files(run: RunDirectory, split: Split, after: int = 0) -> list[int]:
    """Remove the metric files of the epochs after `after`, and the folders that are empty then; returns the epochs."""
    later = {epoch: folder for epoch, folder in run.epochs(split).items() if epoch > after}
    for folder in later.values():
        for file in folder.glob("*.log"):
            file.unlink()
        _remove_if_empty(folder)
    return list(later)


def _copy_metric_files(source: Path, target: Path, position: Position) -> None:
    """Copy the metric files of the epochs up to `position` from one run's directory into another's."""
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in RunDirectory(source).epochs(split).items():
            if epoch <= position.epoch:
                copy = RunDirectory(target).epoch(split, epoch)
                copy.mkdir(parents=True, exist_ok=True)
                for file in folder.glob("*.log"):
                    shutil.copyfile(file, copy / file.name)


def _ending(sessions: tuple[Session, ...]) -> str:
    if not sessions:
        return "left no record of how it ended"
    last = sessions[-1]
    at = f" at {last.position}" if last.position else ""
    endings = {
        "completed": f"was completed{at}",
        "stopped": f"was stopped{at} ({last.reason})",
        "failed": f"failed{at} ({last.error})",
    }
    return endings.get(last.outcome or "", "is still running or was killed")


def _is_seen(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        # below a folder that we may not look into
        return False


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
