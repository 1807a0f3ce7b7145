"""Links, pipes and devices where a file or a folder of a run has to be, and files where a folder has to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multilearn.checkpoint.manifest import NAME, RECORD
from multilearn.errors import DirectoryError
from multilearn.events import Split
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import is_folder, kind_of

__all__ = ["refuse_obstacles", "unknown_path"]

_SHOWN = 300  # characters of a path


def refuse_obstacles(run: RunDirectory) -> None:
    """Raise `DirectoryError` for what is no folder where a folder of the run must be, and no file where a file must be.

    A link is refused wherever it leads to. A folder in the place of a file is left to the write, which refuses it.
    """
    try:
        run.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise unknown_path(run.path, error) from error
    expected = [(path, ["a folder"]) for path in _folders(run)]
    expected += [(path, ["a file", "a folder"]) for path in _files(run)]
    for path, kinds in expected:
        if (kind := kind_of(path)) not in (None, *kinds):
            raise DirectoryError(
                f"In the directory of a run this must be {kinds[0]}.",
                received=f"{path}, which is {kind}",
                remedy="Move it away, or use another directory. The directory itself may be a link.",
            )


def unknown_path(path: Path, error: OSError | ValueError) -> DirectoryError:
    """The error for a path that the system does not take: too long, a circle of links, with a zero byte in it."""
    return DirectoryError(
        "The directory of a run must have a path that can be resolved.",
        received=f"{str(path)[:_SHOWN]}: {getattr(error, 'strerror', None) or error}",
        remedy="Use another directory.",
    )


def _folders(run: RunDirectory) -> Iterator[Path]:
    yield run.checkpoints
    yield run.attachments
    for split in Split:
        yield run.path / split
    for split in (Split.TRAIN, Split.VALID):
        if is_folder(run.path / split):
            yield from (run.path / split).glob("epoch-*")
    if is_folder(run.path / Split.TEST):
        # an evaluation may have any name; a plain file beside them is in the way of none
        yield from (path for path in (run.path / Split.TEST).glob("*") if kind_of(path) != "a file")


def _files(run: RunDirectory) -> list[Path]:
    found = [run.lock, run.experiment, run.log, run.timeline, run.trackers]
    if is_folder(run.checkpoints):
        ours = (NAME, run.history.name)
        found += sorted(path for path in run.checkpoints.iterdir() if path.name in ours or RECORD.fullmatch(path.name))
    for folder in run.measured():
        found += sorted(folder.glob("*.log"))
    return found
