"""Keeps two live writers of one directory apart."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from multilearn.errors import DirectoryError
from multilearn.printable import printable
from multilearn.storage.own_files import open_own
from multilearn.storage.refusals import closing

__all__ = ["Holder", "holder", "locked"]

_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})

_LONGEST = 4096  # bytes of what a lock file says
_LOOKED_AT = 0.05  # seconds: far longer than `holder` has the lock of a process that is gone

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; `pid` is 0 and `host` empty if the file does not say."""

    host: str = ""
    pid: int = 0

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid())

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return self.host == socket.gethostname()


def holder(path: Path) -> Holder | None:
    """The process that holds the lock file `path`, None if no process does. Raises `OSError`.

    On a file system without locks: the one that made the file, also if it was killed.
    """
    try:
        descriptor = open_own(path, path.parent, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        _lock(descriptor, shared=True)
    except OSError as error:
        if error.errno not in _TAKEN | _NO_LOCKS:
            raise
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


def _written(descriptor: int) -> Holder:
    with suppress(OSError, ValueError, TypeError):
        found = json.loads(os.pread(descriptor, _LONGEST, 0))
        if isinstance(found["host"], str) and type(found["pid"]) is int:
            return Holder(found["host"], found["pid"])
    return Holder()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`. It is the operating system's lock: a killed process holds nothing.

    Raises `DirectoryError` if another process holds it or the disk will not lock it, `OSError` where the file cannot be
    made. On a file system without locks nothing is held, and that is logged. The file is removed at the end,
    unless it is another by then: that of a process which came after this one was removed. It says which process it is.
    """
    descriptor = _acquire(path)
    with suppress(OSError):  # a full disk is found by what needs it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(asdict(Holder.here())).encode())
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
        try:
            _lock(descriptor)
        except BlockingIOError:
            time.sleep(_LOOKED_AT)
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


def _lock(descriptor: int, *, shared: bool = False) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at `path`, and not one that its last holder has removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
