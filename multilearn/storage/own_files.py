"""What is a run's own in its directory: regular files in regular folders. Below the directory no link is followed.

A folder is held open while something is done in it: it stays the same one, whatever is put in its place meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

__all__ = ["FOLDER", "OwnFolder", "is_folder", "kind_of", "own_folder", "require_file"]

_HOLDS = {os.open, os.mkdir, os.rmdir, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
"""Whether the system knows files relative to an open folder; Windows does not."""
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


class OwnFolder:
    """A folder of a run, held open. All of its methods raise `OSError`."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    @contextmanager
    def folder(self, name: str, *, create: bool = False) -> Iterator[OwnFolder]:
        """A folder in this one, made if it is missing and to be created. Raises `OSError` for a link to one."""
        if create:
            with suppress(FileExistsError):
                os.mkdir(self._at(name), dir_fd=self._descriptor)
        if not stat.S_ISDIR(mode := self._mode(name)):
            number = errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR
            raise OSError(number, f"{_kind(mode).capitalize()} where a folder must be", str(self.path / name))
        if self._descriptor is None:
            yield OwnFolder(self.path / name, None)
            return
        descriptor = os.open(name, FOLDER | _NO_LINK, dir_fd=self._descriptor)
        try:
            yield OwnFolder(self.path / name, descriptor)
        finally:
            _close(descriptor)

    def files(self, suffix: str = "") -> list[str]:
        """The names of the regular files that end with `suffix`, sorted."""
        return sorted(name for name in self._names() if name.endswith(suffix) and stat.S_ISREG(self._mode(name, 0)))

    def folders(self) -> list[str]:
        """The names of the folders in this one, sorted."""
        return sorted(name for name in self._names() if stat.S_ISDIR(self._mode(name, 0)))

    def open(self, name: str, flags: int) -> int:
        """A descriptor of a regular file; `flags` as for `os.open`. Nothing else is waited for, nor written to.

        A file that has another name besides (a hard link) is not opened for writing.
        """
        require_file(self.path / name, self._mode(name, stat.S_IFREG))  # before: to open a device alone can change it
        opening = flags & ~os.O_TRUNC | _FILE
        descriptor = os.open(self._at(name), opening, 0o666, dir_fd=self._descriptor)
        try:
            facts = os.fstat(descriptor)
            require_file(self.path / name, facts.st_mode)
            if flags & _WRITING and facts.st_nlink > 1:
                raise OSError(errno.EMLINK, "A file with another name besides, a hard link", str(self.path / name))
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def reading(self, name: str) -> Iterator[BufferedReader]:
        """A regular file, for reading."""
        file = open(self.open(name, os.O_RDONLY), "rb")  # noqa: SIM115
        try:
            yield file
        finally:
            with suppress(OSError):  # what was read was read
                file.close()

    def rename(self, name: str, target: OwnFolder) -> None:
        """Move a file into another folder, over one of that name."""
        os.replace(self._at(name), target._at(name), src_dir_fd=self._descriptor, dst_dir_fd=target._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, or a link itself."""
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def remove_folder(self, name: str) -> bool:
        """Remove a folder in this one if it is empty and not in use; whether it was."""
        try:
            os.rmdir(self._at(name), dir_fd=self._descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                raise
            return False
        return True

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else os.path.join(self.path, name)

    def _names(self) -> list[str]:
        return os.listdir(self.path if self._descriptor is None else self._descriptor)

    def _mode(self, name: str, default: int | None = None) -> int:
        """What a name stands for; `default` where it is gone meanwhile."""
        try:
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            if default is None:
                raise
            return default


@contextmanager
def own_folder(path: Path, root: Path, *, create: bool = False) -> Iterator[OwnFolder]:
    """The folder at `path`, which is `root` or below it: what `path` names below `root` must be folders, and no links.

    `root` itself is found as any path is. `create`: make what is missing. Raises `OSError`.
    """
    if create:
        root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, FOLDER) if _HOLDS else None
    try:
        with _below(OwnFolder(root, descriptor), path.relative_to(root).parts, create) as folder:
            yield folder
    finally:
        if descriptor is not None:
            _close(descriptor)


@contextmanager
def _below(folder: OwnFolder, names: tuple[str, ...], create: bool) -> Iterator[OwnFolder]:
    if not names:
        yield folder
        return
    with folder.folder(names[0], create=create) as inner, _below(inner, names[1:], create) as innermost:
        yield innermost


def _close(descriptor: int) -> None:
    # of a folder nothing is lost by it
    with suppress(OSError):
        os.close(descriptor)


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a device")
