"""A first attempt at a run that trained no batch: it is no run, and the next one replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multilearn.artifacts import RunDirectory
from multilearn.checkpoint.regular import opened
from multilearn.events import Split
from multilearn.experiment import Session, earlier
from multilearn.position import START

__all__ = ["clear_attempt", "holds_run", "holds_traces"]

_CHUNK = 1 << 20
_SPLITS = (Split.TRAIN, Split.VALID)


def holds_traces(path: Path) -> bool:
    """Whether there is anything of a run in the directory, also of one that trained nothing."""
    run = RunDirectory(path)
    return run.experiment.exists() or run.checkpoints.exists() or any(run.epochs(split) for split in _SPLITS)


def holds_run(path: Path) -> bool:
    """Whether the directory holds a run that trained a batch, or whatever cannot be shown to be less than that.

    Less is: no checkpoint, an experiment.json whose sessions all say that they trained nothing, and no metric file but
    those that were copied from the run that is to be resumed, and are still there.
    """
    run = RunDirectory(path)
    if run.checkpoints.exists() and (not run.checkpoints.is_dir() or any(run.checkpoints.iterdir())):
        return True
    sessions, _ = earlier(run.experiment)
    if run.experiment.exists() and not (sessions and all(map(_trained_nothing, sessions))):
        return True
    origin = sessions[-1].resumed_from if sessions else None
    source = None if origin is None else RunDirectory(Path(origin["directory"]))
    return not all(source and _is_copy(file, source.path / file.relative_to(path)) for file in _metric_files(run))


def clear_attempt(run: RunDirectory) -> None:
    """Remove what an attempt left in a directory that holds no run. Its experiment.log stays, to be continued."""
    for file in _metric_files(run):
        file.unlink()
    folders = [folder for split in _SPLITS for folder in (*run.epochs(split).values(), run.path / split)]
    for folder in (*folders, run.checkpoints):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    run.experiment.unlink(missing_ok=True)


def _trained_nothing(session: Session) -> bool:
    return session.trained is False or session.position == str(START)


def _metric_files(run: RunDirectory) -> Iterator[Path]:
    for split in _SPLITS:
        for folder in run.epochs(split).values():
            yield from sorted(folder.glob("*.log"))


def _is_copy(file: Path, original: Path) -> bool:
    """Whether `original` begins with all that is in `file`."""
    try:
        with opened(file) as one, opened(original) as other:
            while chunk := one.read(_CHUNK):
                if other.read(len(chunk)) != chunk:
                    return False
    except OSError:
        return False
    return True
