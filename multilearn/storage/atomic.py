"""Files that are there completely, or not at all, whenever the power fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from multilearn.storage.own_files import FOLDER, is_folder
from multilearn.storage.refusals import storing
from multilearn.storage.shield import SHIELD

__all__ = [
    "make_folder",
    "replace",
    "replacing",
    "sync_file",
    "sync_folder",
    "temporary",
    "write_atomically",
    "written",
]


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` into the file `path`: durable on return; before that, whatever happens, the file is as it was.

    Raises `StorageError` if the disk is full or does not take it, as all that is in this module does.
    """
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file whose content becomes that of `path` at the end, as by `write_atomically`."""
    with written(temporary(path)) as file:
        yield file
    replace(temporary(path), path)
    sync_folder(path.parent)


def temporary(path: Path) -> Path:
    """Where the content of `path` is written first: in the same folder, so that a rename suffices."""
    return path.with_name(f"{path.name}.tmp")


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A new file at `path`, in place of what was there, durable at the end and removed again on an error."""
    try:
        with storing(path):
            path.unlink(missing_ok=True)
            with open(path, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        _discard(path)
        raise


def replace(source: Path, target: Path) -> None:
    """Rename, over `target` if that is there; `source` is removed if that fails."""
    try:
        with storing(target):
            os.replace(source, target)
    except BaseException:
        _discard(source)
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; all of them are durable on return.

    Raises `OSError`, also for a link in the place of the folder itself.
    """
    missing = [folder for folder in path.parents if not folder.is_dir()]
    for folder in (*reversed(missing), *(() if is_folder(path) else (path,))):
        try:
            folder.mkdir()
        except FileExistsError:
            if not is_folder(folder):
                raise
        if os.access(folder.parent, os.R_OK):  # what may be written to and not looked into cannot be opened
            sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Make durable what is in a file, also what other threads wrote into it."""
    _sync(path, (os.O_RDWR if os.name == "nt" else os.O_RDONLY) | getattr(os, "O_NOFOLLOW", 0))


def sync_folder(path: Path) -> None:
    """Make durable what was created, renamed and removed in a folder (Windows cannot, and does so by itself)."""
    if os.name != "nt":
        _sync(path, FOLDER)


def _sync(path: Path, flags: int) -> None:
    with storing(path), SHIELD:
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(path: Path) -> None:
    # on a disk that has become read-only it stays; what is to be said is why
    with suppress(OSError):
        path.unlink(missing_ok=True)
