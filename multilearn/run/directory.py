"""The directory of a run: what it holds already, taking hold of it, and bringing it to where a run begins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import DirectoryError
from multilearn.events import START, Position, Split
from multilearn.loggers.going_back import go_back, remove_metric_files
from multilearn.run import grid_cell as cell
from multilearn.run import trace as walking
from multilearn.run.attempt import clear_attempt, holds_run
from multilearn.run.experiment import Session, earlier
from multilearn.run.integrity import damages
from multilearn.run.obstacles import clear_obstacles, refuse_obstacles, unknown_path
from multilearn.storage.atomic import make_folder
from multilearn.storage.layout import RunDirectory
from multilearn.storage.lock import locked
from multilearn.storage.own_files import is_folder, own_folder
from multilearn.storage.refusals import is_full, reading, refuse_full, refused, storing

if TYPE_CHECKING:
    from multilearn.run.resume import Found
    from multilearn.settings import Settings

__all__ = ["bring_along", "placed", "prepare", "refuse_existing_run", "refuse_unwritable", "taken"]


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
    try:
        existing = next(folder for folder in (path, *path.absolute().parents) if _is_seen(folder))
    except (OSError, ValueError) as error:
        raise unknown_path(path, error) from error
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
    refuse_full(path)


def _refuse_unwritable_parts(run: RunDirectory, settings: Settings) -> None:
    """Raise `DirectoryError` for a folder or a file of the run that this one would have to write, and cannot."""
    parts = [run.path / Split.TRAIN, run.path / Split.VALID]
    parts += [run.checkpoints] if settings.recorder is not None else []
    parts += [run.log] if settings.application_log is not None else []
    for part in parts:
        if part.exists() and not os.access(part, os.W_OK | (os.X_OK if part.is_dir() else 0)):
            raise DirectoryError(
                "What a run writes in its directory must be writable.",
                received=f"{part}, which is not",
                remedy="Change its permissions, or use another directory.",
            )


def placed(settings: Settings, backend: str, seed: int) -> tuple[Settings, Path]:
    """The settings and the path of a run whose backend and seed are known.

    Raises `DirectoryError` for a directory that cannot be written to, or holds a run that nothing is said of.
    """
    path = settings.directory.path(backend, seed)
    if walking.asked() is not None:
        # nothing will be written
        return settings, path
    with reading(path):
        return _allowed(settings, path, backend, seed), path


def _allowed(settings: Settings, path: Path, backend: str, seed: int) -> Settings:
    """The settings of a run that may be in `path`. Raises `DirectoryError` for one that may not."""
    refuse_unwritable(path)
    refuse_obstacles(RunDirectory(path))
    _refuse_unwritable_parts(RunDirectory(path), settings)
    if settings.resume is not None and settings.resume.directory is not None:
        refuse_obstacles(RunDirectory(settings.resume.directory))
    if holds_run(path):
        settings = cell.going_on(settings, path, backend, seed)
    resume = settings.resume
    if resume is not None and resume.is_of(path):
        # also where it is named like another run's: what is gone on from must never be overwritten
        return replace(settings, resume=replace(resume, directory=None, written=None))
    if not settings.overwrite:
        refuse_existing_run(path)
    return settings


@contextmanager
def taken(run: RunDirectory) -> Iterator[None]:
    """Make the directory and hold its lock. Raises `DirectoryError` where that is not possible, `StorageError` where
    the disk is full.
    """
    refuse_full(run.path)
    with ExitStack() as stack:
        try:
            if not run.path.is_dir():
                make_folder(run.path)
            if is_folder(run.lock):
                run.lock.rmdir()
            stack.enter_context(locked(run.lock))
        except OSError as error:
            if is_full(error):
                raise refused(run.path, error) from error
            raise DirectoryError(
                "The directory of a run must be writable.",
                received=f"{run.path}: {error}",
                remedy="Use another directory.",
            ) from error
        yield


def prepare(run: RunDirectory, settings: Settings, found: Found) -> list[str]:
    """Bring the directory to the state from which the run begins. Returns what is to be logged."""
    with storing(run.path):
        if settings.resume is not None and settings.resume.directory is None:
            return [*clear_obstacles(run), *_go_back(run, settings, found)]
        if settings.overwrite:
            _clear(run.path)
        else:
            refuse_existing_run(run.path)
            clear_attempt(run)
    return []


def bring_along(run: RunDirectory, found: Found) -> None:
    """Copy the metric files up to where the run begins from the directory of the run that it goes on from.

    Only when experiment.json says which one that is: a process that is killed here must be able to find it again.
    """
    if found.source not in (None, run.path):
        with storing(run.path):
            _copy_metric_files(found.source, run.path, found.position)
        go_back(run, found.position)


def _go_back(run: RunDirectory, settings: Settings, found: Found) -> list[str]:
    """Give up what came after the position, in a directory that is gone on in."""
    later: list[str] = []
    stay = None
    position = found.position
    folder, _ = CheckpointFolder(run.checkpoints, settings.recorder or MpkGzRecorder()).recovered()
    damaged = damages(run, folder, found) if found.source == run.path else []
    if settings.recorder is not None:
        folder.mend()
        folder.clean()
        withdrawn = folder.withdraw(position)
        later += [f"checkpoint {each}" for each in withdrawn]
        if not withdrawn and position.finished_epochs >= settings.epochs:
            folder.sweep()
    elif kept := [each for each in folder.positions() if each > position]:
        stay = f"Without a checkpointer these checkpoints stay as they are: {', '.join(map(str, kept))}."
    later += [f"epoch {epoch}" for epoch in go_back(run, position)]
    place = "the start" if position == START else position
    given_up = f"What came after {place} is given up: {', '.join(later)}." if later else None
    return [*damaged, *(note for note in (given_up, stay) if note)]


def _clear(path: Path) -> None:
    """Remove the files of a run, and the folders that are empty then; nothing that is not of our layout."""
    run = RunDirectory(path)
    CheckpointFolder(run.checkpoints, MpkGzRecorder()).clear()
    if is_folder(run.checkpoints):
        with storing(path), own_folder(run.checkpoints, path) as own, suppress(FileNotFoundError):
            own.remove(run.history.name)
    for folder in run.measured():
        remove_metric_files(folder, path)
    with storing(path), own_folder(path, path) as own:
        for name in own.folders():
            if name in {*Split, run.checkpoints.name}:
                own.remove_folder(name)
        for file in (run.experiment, run.log):
            with suppress(FileNotFoundError):
                own.remove(file.name)


def _copy_metric_files(source: Path, target: Path, position: Position) -> None:
    """Copy the metric files of the epochs up to `position` from one run's directory into another's."""
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in RunDirectory(source).epochs(split).items():
            if epoch <= position.epoch:
                copy = RunDirectory(target).epoch(split, epoch)
                with own_folder(folder, source) as origin, own_folder(copy, target, create=True) as copies:
                    for name in origin.files(".log"):
                        descriptor = copies.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                        with origin.reading(name) as file, open(descriptor, "wb") as copied:
                            shutil.copyfileobj(file, copied)


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
        path.stat()
    except PermissionError:
        # below a folder that we may not look into
        return False
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise
        return False
    return True
