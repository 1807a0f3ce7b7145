"""The directory of a run: what it holds already, taking hold of it, and bringing it to where a run begins."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder, Recorder
from multilearn.errors import DirectoryError
from multilearn.events import START, Position, Split
from multilearn.loggers.rewind import ATTACHED, EVENTS, METRICS, go_back, remove_files
from multilearn.run.copies import is_copy
from multilearn.run.experiment import Session, earlier
from multilearn.run.obstacles import refuse_obstacles, unknown_path
from multilearn.storage.atomic import make_folder
from multilearn.storage.layout import EVENT_SERIES, RunDirectory
from multilearn.storage.lock import locked
from multilearn.storage.own_files import files_in, is_folder, remove_folder
from multilearn.storage.refusals import is_full, refused, storing

__all__ = [
    "begin",
    "claim_directory",
    "holds_run",
    "holds_traces",
    "refuse_existing_run",
    "refuse_unusable",
    "refuse_unwritable",
    "rewind",
]

_SPLITS = (Split.TRAIN, Split.VALID)


def holds_traces(path: Path) -> bool:
    """Whether there is anything of a run in the directory, also of one that trained nothing."""
    run = RunDirectory(path)
    there = any(map(os.path.lexists, (run.experiment, run.checkpoints)))
    return there or any(run.epochs(split) for split in _SPLITS)


def holds_run(path: Path) -> bool:
    """Whether the directory holds a run that trained a batch, or whatever cannot be shown to be less than that.

    Less is: no checkpoint, an experiment.json whose sessions all say that they trained nothing, and no metric file but
    those that were copied from the run that is to be resumed, and are still there.
    """
    run = RunDirectory(path)
    if os.path.lexists(run.checkpoints) and (not is_folder(run.checkpoints) or any(run.checkpoints.iterdir())):
        return True
    sessions, _ = earlier(run.experiment)
    nothing = [each.trained is False or each.position == str(START) for each in sessions]
    if os.path.lexists(run.experiment) and not (nothing and all(nothing)):
        return True
    origin = sessions[-1].resumed_from if sessions else None
    source = None if origin is None else Path(origin["directory"])
    return not all(source and is_copy(name, path, source) for name in _metric_files(run))


def refuse_existing_run(path: Path) -> None:
    """Raise `DirectoryError`, saying how the run ended, if the directory holds one."""
    if not holds_run(path):
        return
    sessions, _ = earlier(RunDirectory(path).experiment)
    raise DirectoryError(
        "A directory holds one run.",
        received=f"{path}, which holds one that {_ending(sessions)}",
        remedy='Resume it with .checkpoint("latest"), replace it with LearnerBuilder(directory, overwrite=True), '
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


def refuse_unusable(run: RunDirectory, *, saves: bool, logs: bool) -> None:
    """Raise `DirectoryError` for a directory that a run cannot be in: it, a folder or a file in it that would be
    written cannot be. `saves`: there will be checkpoints; `logs`: an experiment.log.
    """
    refuse_unwritable(run.path)
    refuse_obstacles(run)
    parts = [run.path / Split.TRAIN, run.path / Split.VALID]
    parts += [run.checkpoints] if saves else []
    parts += [run.log] if logs else []
    for part in parts:
        if part.exists() and not os.access(part, os.W_OK | (os.X_OK if part.is_dir() else 0)):
            raise DirectoryError(
                "What a run writes in its directory must be writable.",
                received=f"{part}, which is not",
                remedy="Change its permissions, or use another directory.",
            )


@contextmanager
def claim_directory(run: RunDirectory) -> Iterator[None]:
    """Make the directory and hold its lock. Raises `DirectoryError` if that is not possible, `StorageError` where
    the disk is full.
    """
    with ExitStack() as stack:
        try:
            if not run.path.is_dir():
                make_folder(run.path)
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


def begin(run: RunDirectory, *, overwrite: bool) -> None:
    """Have nothing of an earlier run in the directory. Raises `DirectoryError` if there is one, unless `overwrite`."""
    if overwrite:
        _clear(run)
    else:
        refuse_existing_run(run.path)
        _clear(run, kept=(Split.TEST, run.log.name))  # of an attempt, whose log is continued


def rewind(run: RunDirectory, recorder: Recorder | None, epochs: int, position: Position) -> list[str]:
    """Remove from the directory what came after `position`. Returns sentences for the log.

    `epochs`: the total number of them. Without a recorder, checkpoints are left as they are.
    """
    later: list[str] = []
    stay = None
    folder, _ = CheckpointFolder(run.checkpoints, recorder or MpkGzRecorder()).recovered()
    if recorder is not None:
        folder.mend()
        folder.clean()
        withdrawn = folder.withdraw(position)
        later += [f"checkpoint {each}" for each in withdrawn]
        if not withdrawn and position.finished_epochs >= epochs:
            folder.sweep()
    elif kept := [each for each in folder.positions() if each > position]:
        stay = f"Without a checkpointer these checkpoints stay as they are: {', '.join(map(str, kept))}."
    later += [f"epoch {epoch}" for epoch in go_back(run, position)]
    place = "the start" if position == START else position
    given_up = f"What came after {place} is given up: {', '.join(later)}." if later else None
    return [note for note in (given_up, stay) if note]


def _clear(run: RunDirectory, kept: Collection[str] = ()) -> None:
    """Remove the files of a run, and the folders that are empty then; nothing that is not of our layout, nor `kept`."""
    CheckpointFolder(run.checkpoints, MpkGzRecorder()).clear()
    if is_folder(run.checkpoints):
        with storing(run.history):
            run.history.unlink(missing_ok=True)
    for folder in run.measured():
        if folder.parent.name not in kept:
            remove_files(folder, run.path, METRICS)
    for folder in run.epochs(run.attachments.name).values():
        remove_files(folder, run.path, ATTACHED)
    for series in reversed(EVENT_SERIES):
        if is_folder(run.tensorboard) and is_folder(run.tensorboard / series):
            remove_files(run.tensorboard / series, run.path, EVENTS)
    for name in (*Split, run.checkpoints.name, run.attachments.name):
        if name not in kept and is_folder(run.path / name):
            with storing(run.path / name):
                remove_folder(run.path / name)
    for file in (run.experiment, run.log, run.timeline, run.trackers):
        if file.name not in kept:
            with storing(file):
                file.unlink(missing_ok=True)


def _metric_files(run: RunDirectory) -> Iterator[Path]:
    """Their names below the directory of the run."""
    for split in _SPLITS:
        for path in run.epochs(split).values():
            yield from (path.relative_to(run.path) / name for name in files_in(path, run.path, ".log"))


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
