"""The metric files of a run that goes on: brought back to what they said where it does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from multilearn.artifacts import RunDirectory
from multilearn.events import Split
from multilearn.position import Position
from multilearn.storage import storing

__all__ = ["go_back", "lacking"]


def go_back(directory: RunDirectory, position: Position) -> list[int]:
    """Make the metric files say what they said at `position`: later ones go, those of its epoch end at its batch.

    Files that are not ours stay. Returns the later epochs of which there was something.
    """
    later = set()
    for split in (Split.TRAIN, Split.VALID):
        for epoch, folder in directory.epochs(split).items():
            if epoch > position.epoch:
                later.add(epoch)
            if epoch > position.finished_epochs and not (split is Split.TRAIN and _is_inside(epoch, position)):
                _remove(folder)
    if position.batch is not None:
        for path in _metric_files(directory.epoch(Split.TRAIN, position.epoch)):
            _cut(path, position.batch)
    return sorted(later)


def lacking(directory: RunDirectory, position: Position, metrics: Iterable[str]) -> list[str]:
    """What is to be said of the files of the epoch that `position` is inside: which lack some of its batches.

    `metrics`: those that must have had a line for each of them; and whatever has a file.
    """
    if position.batch is None:
        return []
    epoch = position.epoch
    expected = {directory.metric(Split.TRAIN, epoch, name) for name in metrics}
    found = {path: _length(path) for path in expected | set(_metric_files(directory.epoch(Split.TRAIN, epoch)))}
    return [
        f"{path} has only {kept} of the first {position.batch} batches of epoch {epoch}; the others stay lost."
        for path, kept in sorted(found.items())
        if kept < position.batch
    ]


def _is_inside(epoch: int, position: Position) -> bool:
    return epoch == position.epoch and position.batch is not None


def _metric_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.log") if path.is_file()]


def _remove(folder: Path) -> None:
    for path in _metric_files(folder):
        with storing(path):
            path.unlink()
    with contextlib.suppress(OSError):  # somebody else's files are in it: it stays, with them
        folder.rmdir()


def _cut(path: Path, wanted: int) -> None:
    """Cut the file after so many lines; what a kill tore, and the final line, go too."""
    kept, size = 0, 0
    with storing(path), path.open("r+b") as file:
        for line in file:
            if kept == wanted or not line.endswith(b"\n") or line.endswith(b",final\n"):
                break
            kept, size = kept + 1, size + len(line)
        file.truncate(size)


def _length(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
