"""Files opened for reading, where they are files: a pipe without a writer would be waited for without end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from multilearn.storage.own_files import open_own, require_file

__all__ = ["opened", "read_whole"]

_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def opened(path: str | os.PathLike[str], inside: Path | None = None) -> Iterator[BufferedReader]:
    """The file at `path`, for reading. Raises `OSError` for what is no file: a folder, a pipe, a socket, a device.

    Links are followed, except for those below the directory `inside` of a run. A path that no file can have is an
    `OSError`, too.
    """
    try:
        if inside is not None:
            descriptor = open_own(Path(path), inside, os.O_RDONLY)
        else:
            require_file(path, os.stat(path).st_mode)  # before it is opened, which alone can change a device
            descriptor = os.open(path, os.O_RDONLY | _NO_WAIT)
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)} ({error})", repr(os.fspath(path))) from error
    with open(descriptor, "rb") as file:
        require_file(path, os.fstat(descriptor).st_mode)
        yield file


def read_whole(path: str | os.PathLike[str], largest: int, inside: Path | None = None) -> bytes:
    """All that is in a file. Raises `OSError` as `opened` does, and for one of more than `largest` bytes."""
    path = Path(path)
    with opened(path, inside) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise OSError(errno.EFBIG, f"More than {largest} bytes", str(path))
    return found
