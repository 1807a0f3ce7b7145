"""A first attempt at a run that trained no batch: it is no run, and the next one replaces it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from multilearn.events import START, Split
from multilearn.run.experiment import Session, earlier
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import files_in, is_folder
from multilearn.storage.reading import opened

__all__ = ["holds_run", "holds_traces"]

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
    if os.path.lexists(run.experiment) and not (sessions and all(map(_trained_nothing, sessions))):
        return True
    origin = sessions[-1].resumed_from if sessions else None
    source = None if origin is None else Path(origin["directory"])
    return not all(source and _is_copy(name, path, source) for name in _metric_files(run))


def _trained_nothing(session: Session) -> bool:
    return session.trained is False or session.position == str(START)


def _metric_files(run: RunDirectory) -> Iterator[Path]:
    """Their names below the directory of the run."""
    for split in _SPLITS:
        for path in run.epochs(split).values():
            yield from (path.relative_to(run.path) / name for name in files_in(path, run.path, ".log"))


def _is_copy(name: Path, path: Path, source: Path) -> bool:
    """Whether the file of that name in the run in `source` begins with all that is in the one in `path`."""
    try:
        with opened(path / name, path) as one, opened(source / name, source) as other:
            copied = one.read()
            return other.read(len(copied)) == copied
    except OSError:
        return False
