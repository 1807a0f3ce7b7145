"""Keeps two live writers of one directory apart."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from multilearn.errors import DirectoryError
from multilearn.printable import printable
from multilearn.storage.own_files import open_own
from multilearn.storage.refusals import closing

__all__ = ["locked"]

_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})

_log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`. It is the operating system's lock: a killed process holds nothing.

    Raises `DirectoryError` if another process holds it or the disk will not lock it, `OSError` where the file cannot be
    made. On a file system without locks nothing is held, and that is logged. The file is removed at the end,
    unless it is another by then: that of a process which came after this one was removed.
    """
    descriptor = _acquire(path)
    with closing(path, lambda: _release(descriptor, path)):
        yield


def _release(descriptor: int, path: Path) -> None:
    try:
        # removed before it is unlocked: a process that waits for this one finds out that it is gone
        with suppress(OSError):
            if _is_at(descriptor, path):
                path.unlink()
    finally:
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = open_own(path, path.parent, os.O_RDWR | os.O_CREAT)
        try:
            if not _is_locked(descriptor, path) or _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock it. False, which is logged, on a file system without locks. Raises `DirectoryError`."""
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _TAKEN:
            raise DirectoryError(
                "A directory can have only one writer at a time.",
                received=f"{path.parent}, which another process is writing to",
                remedy="Wait for it to end, or use another directory.",
            ) from error
        if error.errno not in _NO_LOCKS:
            raise DirectoryError(
                "The directory of a run must be one that can be locked.",
                received=f"{path}: {error.strerror or error}",
                remedy="Look at the disk, or use another directory.",
            ) from error
        _log.warning(
            "A second writer cannot be kept out: the file system of %s does not support locks.",
            printable(str(path.parent)),
        )
        return False
    return True


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at `path`, and not one that its last holder has removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
