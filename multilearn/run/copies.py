"""What a run that continues another one has of it in its own directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from multilearn.events import Position, Split
from multilearn.loggers.rewind import ATTACHED, METRICS, go_back
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import files_in, open_file
from multilearn.storage.reading import opened
from multilearn.storage.refusals import storing

__all__ = ["bring_along", "is_copy"]


def bring_along(run: RunDirectory, source: Path, position: Position) -> None:
    """Copy metric files, attachments and timeline up to `position` from the directory of the run that is continued.

    Only when experiment.json says which one that is: a process that is killed here must be able to find it again.
    """
    with storing(run.path):
        for name in _recorded(RunDirectory(source), position):
            made = open_file(run.path / name, run.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, create=True)
            with made as copied, opened(source / name, source) as file:
                shutil.copyfileobj(file, copied)
    go_back(run, position)


def is_copy(name: Path, path: Path, source: Path) -> bool:
    """Whether the file of that name in the run in `source` begins with all that is in the one in `path`."""
    try:
        with opened(path / name, path) as one, opened(source / name, source) as other:
            copied = one.read()
            return other.read(len(copied)) == copied
    except OSError:
        return False


def _recorded(run: RunDirectory, position: Position) -> Iterator[Path]:
    """The files of the epochs up to `position`, by their names below the directory of the run."""
    endings = {Split.TRAIN: METRICS, Split.VALID: METRICS, run.attachments.name: ATTACHED}
    for parent in endings:
        for epoch, folder in run.epochs(parent).items():
            if epoch <= position.epoch:
                yield from (folder.relative_to(run.path) / name for name in files_in(folder, run.path, endings[parent]))
    if run.timeline.is_file():
        yield run.timeline.relative_to(run.path)
