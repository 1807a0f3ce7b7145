"""What the operating system refuses, in our own errors: the disk is full, read-only or broken."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from multilearn.errors import DirectoryError, MultilearnError, StorageError

__all__ = ["closing", "is_full", "reading", "refused", "storing"]

_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_LOCKED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_OCCUPIED = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENXIO, errno.EMLINK}
)
_RESUMING = 'then .checkpoint("latest") resumes from the newest checkpoint that was saved.'


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """While it lasts `path` is written: what the operating system says against that becomes a `StorageError`."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise refused(path, error) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While it lasts the directory of a run is looked at: what the operating system refuses is a `DirectoryError`."""
    try:
        yield
    except MultilearnError:
        raise
    except OSError as error:
        raise DirectoryError(
            "The directory of a run must be readable.",
            received=f"{path if error.filename is None else error.filename}: {error.strerror or error}",
            remedy="Check its permissions and the disk.",
        ) from error


@contextmanager
def closing(path: Path, close: Callable[[], None]) -> Iterator[None]:
    """Call `close` at the end. That it fails, as on a file system of a network, is a `StorageError`.

    It hides no error that came before.
    """
    try:
        yield
    except BaseException:
        with suppress(OSError):
            close()
        raise
    with storing(path):
        close()


def refused(path: Path, error: OSError) -> StorageError:
    """The error that says what `error` means for a run that writes `path`, and what to do."""
    left = ""
    if is_full(error):
        left = _room(path)
        rule, remedy = "The disk must have room for what a run writes.", f"Free some, or raise the quota; {_RESUMING}"
    elif error.errno in _LOCKED:
        rule, remedy = "What a run writes must be writable.", f"Change the permissions or the mount; {_RESUMING}"
    elif error.errno in _OCCUPIED:
        rule = "The files of a run must be files, and its folders folders: links are not followed."
        remedy = f"Move this away; {_RESUMING}"
    else:
        rule, remedy = "The disk must take what a run writes.", f"Look at the disk; {_RESUMING}"
    explained = StorageError(rule, received=f"{path}: {error.strerror or error}{left}", remedy=remedy)
    explained.errno = error.errno
    return explained


def is_full(error: OSError) -> bool:
    """Whether there is no room: on the disk, in the quota, or within the largest file that may be."""
    return error.errno in _FULL


def _room(path: Path) -> str:
    """What to add of how much is free, where the system tells it."""
    try:
        return f", {shutil.disk_usage(path.parent).free} bytes are free"
    except OSError:
        return ""
