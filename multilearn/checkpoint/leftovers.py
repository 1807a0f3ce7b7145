"""Files in a folder of checkpoints that are of no use any more, known by their names: nobody else's are touched."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from multilearn.checkpoint.formats import BUILT_IN
from multilearn.checkpoint.manifest import NAME, PARTS, file_name
from multilearn.checkpoint.recorder import Recorder
from multilearn.events import Position
from multilearn.printable import printable
from multilearn.storage.layout import HISTORY
from multilearn.storage.own_files import is_folder
from multilearn.storage.refusals import storing

__all__ = ["records", "remove", "remove_records", "remove_temporary"]

_log = logging.getLogger(__name__)


def remove(path: Path) -> None:
    """Remove a file, if that is possible now."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # the manifest lists it still: the next save tries again
        _log.warning("%s could not be removed yet: %s", printable(str(path)), printable(str(error)))


def remove_records(folder: Path, position: Position, own: Recorder) -> None:
    """Remove what there is of the records of a checkpoint, in whatever format."""
    for part in PARTS:
        for extension in _extensions(own):
            remove(folder / file_name(part, position, extension))


def remove_temporary(folder: Path, own: Recorder) -> None:
    """Remove files that have the names of our temporary ones."""
    ours = re.compile(rf"({re.escape(NAME)}|{re.escape(HISTORY)}|{_record(own)})\.tmp", re.ASCII)
    for name in _names(folder):
        if ours.fullmatch(name):
            remove(folder / name)


def records(folder: Path, own: Recorder) -> set[str]:
    """The names of files that are called as our records are."""
    ours = re.compile(_record(own), re.ASCII)
    return set(filter(ours.fullmatch, _names(folder)))


def _names(folder: Path) -> list[str]:
    with storing(folder):
        return os.listdir(folder) if is_folder(folder) else []


def _extensions(own: Recorder) -> list[str]:
    return list(dict.fromkeys([own.extension, *(recorder.extension for recorder in BUILT_IN)]))


def _record(own: Recorder) -> str:
    """A regular expression for the names of our records."""
    extensions = "|".join(map(re.escape, _extensions(own)))
    return rf"({'|'.join(PARTS)})-[0-9]+(\.[0-9]+)?\.({extensions})"
