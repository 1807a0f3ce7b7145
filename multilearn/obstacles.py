"""What stands where a file or a folder of a run has to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multilearn.artifacts import RunDirectory
from multilearn.errors import DirectoryError
from multilearn.events import Split

__all__ = ["clear_obstacles", "refuse_obstacles"]


def refuse_obstacles(run: RunDirectory) -> None:
    """Raise `DirectoryError` for a file where a folder must be, and for a folder with something in it at a file's."""
    for path in _folders(run):
        if path.exists() and not path.is_dir():
            raise _obstacle(path, "a folder", "which is a file")
    for path in _files(run):
        if path.is_dir() and any(path.iterdir()):
            raise _obstacle(path, "a file", "which is a folder with something in it")


def clear_obstacles(run: RunDirectory) -> list[str]:
    """Remove empty folders where files must be. Returns what is to be said aloud."""
    notes = []
    for path in _files(run):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
            notes.append(f"{path} was an empty folder where a file must be, and is removed.")
    return notes


def _folders(run: RunDirectory) -> Iterator[Path]:
    yield run.checkpoints
    for split in (Split.TRAIN, Split.VALID):
        yield run.path / split
        yield from (run.path / split).glob("epoch-*")


def _files(run: RunDirectory) -> list[Path]:
    found = [run.lock, run.experiment, run.log]
    for pattern in ("manifest.json", "model-*", "optim-*", "scheduler-*"):
        found += sorted(run.checkpoints.glob(pattern))
    for split in (Split.TRAIN, Split.VALID):
        for folder in run.epochs(split).values():
            found += sorted(folder.glob("*.log"))
    return found


def _obstacle(path: Path, must: str, received: str) -> DirectoryError:
    return DirectoryError(
        f"In the directory of a run this must be {must}.",
        received=f"{path}, {received}",
        remedy="Move it away, or use another directory.",
    )
