"""Keeps two live writers of one directory apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multilearn.errors import DirectoryError

__all__ = ["locked"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`. It is the operating system's lock: a killed process holds nothing.

    Raises `DirectoryError` if another process holds it.
    """
    descriptor = _acquire(path)
    try:
        yield
    finally:
        # removed before it is unlocked: whoever waits for this one finds out that it is gone
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise DirectoryError(
                "A directory takes one writer at a time.",
                received=f"{path.parent}, which another process is writing to",
                remedy="Wait for it to end, or use another directory.",
            ) from error
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


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
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
