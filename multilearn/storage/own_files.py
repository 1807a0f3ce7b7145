"""What is a run's own in its directory: regular files in regular folders. Below the directory no link is followed.

They are looked at whenever something is done in them.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from multilearn.storage.shield import SHIELD

__all__ = [
    "FOLDER",
    "files_in",
    "is_folder",
    "kind_of",
    "open_file",
    "open_own",
    "remove_folder",
    "require_file",
    "require_folder",
]

FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
"""What to open a folder with: a pipe in its place is an error, and is not waited for."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FILE = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_WRITING = os.O_WRONLY | os.O_RDWR
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """What is at `path`: a file, a folder, a link, a pipe, a socket or a device, in these words; None for nothing."""
    try:
        return _kind(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder at `path`, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def require_file(path: str | os.PathLike[str], mode: int) -> None:
    """Raise `OSError` unless that is the mode of a regular file."""
    if not stat.S_ISREG(mode):
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ELOOP if stat.S_ISLNK(mode) else errno.ENXIO
        raise OSError(number, f"{_kind(mode).capitalize()} where a file must be", os.fspath(path))


def require_folder(path: Path, root: Path, *, create: bool = False) -> None:
    """Raise `OSError` unless all that `path` names below `root` are folders, and no links.

    `root` itself is found as any path is. `create`: make what is missing.
    """
    if create:
        root.mkdir(parents=True, exist_ok=True)
    folder = root
    for name in path.relative_to(root).parts:
        folder = folder / name
        if create:
            with suppress(FileExistsError):
                folder.mkdir()
        if not stat.S_ISDIR(mode := os.lstat(folder).st_mode):
            number = errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR
            raise OSError(number, f"{_kind(mode).capitalize()} where a folder must be", str(folder))


def files_in(folder: Path, root: Path, endings: str | tuple[str, ...]) -> list[str]:
    """The names of the regular files in a folder below `root` with one of these endings, sorted. Raises `OSError`."""
    require_folder(folder, root)
    with os.scandir(folder) as entries:
        found = [each.name for each in entries if each.name.endswith(endings) and each.is_file(follow_symlinks=False)]
    return sorted(found)


def open_own(path: Path, root: Path, flags: int, *, create: bool = False) -> int:
    """A descriptor of a regular file below `root`; `flags` as for `os.open`. Nothing else is waited for, nor written.

    A file that has another name besides (a hard link) is not opened for writing. `create`: make the folder that it is
    in. Raises `OSError`.
    """
    require_folder(path.parent, root, create=create)
    with suppress(FileNotFoundError):
        require_file(path, os.lstat(path).st_mode)  # before: to open a device alone can change it
    descriptor = os.open(path, flags & ~os.O_TRUNC | _FILE, 0o666)
    try:
        facts = os.fstat(descriptor)
        require_file(path, facts.st_mode)
        if flags & _WRITING and facts.st_nlink > 1:
            raise OSError(errno.EMLINK, "A file with another name besides, a hard link", str(path))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_file(path: Path, root: Path, flags: int, *, create: bool = False) -> IO[bytes]:
    """The same as a file. A signal leaves no descriptor open that nothing knows of."""
    mode = {os.O_RDONLY: "rb", os.O_RDWR: "r+b"}.get(flags & _WRITING, "ab" if flags & os.O_APPEND else "wb")
    with SHIELD:
        return open(open_own(path, root, flags, create=create), mode)


def remove_folder(path: Path) -> None:
    """Remove a folder if it is empty and not in use. Raises `OSError`."""
    try:
        path.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a device")
