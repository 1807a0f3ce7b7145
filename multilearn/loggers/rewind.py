"""The metric files of a run that is resumed: brought back to what they said at that place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from multilearn.events import Position, Split
from multilearn.loggers.attachments import IMAGE, TEXT
from multilearn.loggers.timeline import cut_timeline
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import files_in, is_folder, open_file, remove_folder
from multilearn.storage.refusals import storing

__all__ = ["ATTACHED", "EVENTS", "METRICS", "go_back", "lacking", "remove_files"]

METRICS, ATTACHED = (".log",), (TEXT, IMAGE)
"""The endings of our files in the folder of an epoch."""
EVENTS = (".multilearn",)
"""Those of event files of TensorBoard."""
_LONGEST = 1 << 24  # bytes of a line


def go_back(directory: RunDirectory, position: Position) -> list[int]:
    """Make the metric files say what they said at `position`: later ones go, those of its epoch end at its batch.

    So do what was attached to epochs, and the timeline. Files that are not ours stay. Returns the later epochs of which
    there were metrics.
    """
    cut_timeline(directory, position)
    for epoch, folder in directory.epochs(directory.attachments.name).items():
        if epoch > position.finished_epochs:
            remove_files(folder, directory.path, ATTACHED)
    later = set()
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in directory.epochs(split).items():
            if epoch > position.epoch:
                later.add(epoch)
            inside = split is Split.TRAIN and epoch == position.epoch and position.batch is not None
            if epoch > position.finished_epochs and not inside:
                remove_files(folder, directory.path, METRICS)
    if position.batch is not None:
        _cut(directory.epoch(Split.TRAIN, position.epoch), directory.path, position.batch)
    return sorted(later)


def lacking(directory: RunDirectory, position: Position, metrics: Iterable[str]) -> list[str]:
    """What is to be said of the files of the epoch that `position` is inside: which lack some of its batches.

    They end at `position` afterwards. `metrics`: those that must have a line for each batch; and whatever has a file.
    """
    if position.batch is None:
        return []
    epoch = position.epoch
    expected = {directory.metric(Split.TRAIN, epoch, name): 0 for name in metrics}
    found = expected | _cut(directory.epoch(Split.TRAIN, epoch), directory.path, position.batch)
    return [
        f"{path} has only {kept} of the first {position.batch} batches of epoch {epoch}; the others stay lost."
        for path, kept in sorted(found.items())
        if kept < position.batch
    ]


def remove_files(folder: Path, root: Path, endings: tuple[str, ...]) -> None:
    """Remove the files with these endings in the folder of an epoch, or of an evaluation, of the run in `root`.

    The folder goes too, unless files of others are in it.
    """
    with storing(folder):
        for name in files_in(folder, root, endings):
            with storing(folder / name):
                (folder / name).unlink()
        remove_folder(folder)


def _cut(folder: Path, root: Path, wanted: int) -> dict[Path, int]:
    """Cut the metric files after so many lines; what a kill tore, and the final line, go too. How many it has."""
    if not is_folder(folder):
        return {}
    lengths = {}
    with storing(folder):
        for name in files_in(folder, root, ".log"):
            with storing(folder / name), open_file(folder / name, root, os.O_RDWR) as file:
                kept, size = 0, 0
                for line in iter(partial(file.readline, _LONGEST), b""):
                    if kept == wanted or not line.endswith(b"\n") or line.endswith(b",final\n"):
                        break
                    kept, size = kept + 1, size + len(line)
                file.truncate(size)
            lengths[folder / name] = kept
    return lengths
