"""Files that anybody may have changed: opened where they are files, and read as strict JSON.

A pipe without a writer would be waited for without end. Of JSON nothing is guessed, and little memory taken for little
text.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from multilearn.storage.own_files import open_own, require_file
from multilearn.storage.shield import SHIELD

__all__ = ["opened", "parsed", "read_whole"]

_LARGEST = 1 << 1023
"""Of whole numbers: larger ones are no float, and what is made of them overflows."""
_MARKS = (b",", b":", b"[", b"{")
"""There is one of them at least for each value, which takes a hundred times the byte that it has in the text."""
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def opened(path: str | os.PathLike[str], inside: Path | None = None) -> Iterator[BufferedReader]:
    """The file at `path`, for reading. Raises `OSError` for what is no file: a folder, a pipe, a socket, a device.

    Links are followed, except for those below the directory `inside` of a run. A path that no file can have is an
    `OSError`, too.
    """
    try:
        if inside is None:
            require_file(path, os.stat(path).st_mode)  # before it is opened, which alone can change a device
        with SHIELD:
            read_only = os.O_RDONLY | _NO_WAIT
            descriptor = os.open(path, read_only) if inside is None else open_own(Path(path), inside, os.O_RDONLY)
            file = open(descriptor, "rb")  # noqa: SIM115
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)} ({error})", repr(os.fspath(path))) from error
    with file:
        require_file(path, os.fstat(file.fileno()).st_mode)
        yield file


def read_whole(path: str | os.PathLike[str], largest: int, inside: Path | None = None) -> bytes:
    """All that is in a file. Raises `OSError` as `opened` does, and for one of more than `largest` bytes."""
    path = Path(path)
    with opened(path, inside) as file:
        found = file.read(largest + 1)
    if len(found) > largest:
        raise OSError(errno.EFBIG, f"More than {largest} bytes", str(path))
    return found


def parsed(
    text: bytes, *, marks: int = 1 << 21, depth: int = 100, numbers: bool = True, file_names: bool = False
) -> Any:
    """What the text holds. `marks`: how many commas, colons and brackets it may have, also in strings; `depth`: of
    lists and maps in each other; `numbers`: whether it is read as numbers of all kinds, so that NaN and the infinities,
    which are no JSON, are taken, and no whole number is beyond all floats; `file_names`: whether texts may hold what
    stands for bytes of file names that are not UTF-8 (U+DC80 to U+DCFF).

    Raises `ValueError` for what is no UTF-8, no JSON, larger or deeper, has a key twice, or half of a surrogate pair.
    """
    if sum(map(text.count, _MARKS)) > marks:
        raise ValueError("it holds too many values")
    try:
        found = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_constant=None if numbers else _no_constant
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check(found, depth, numbers, "surrogateescape" if file_names else "strict")
    return found


def _check(found: Any, depth: int, numbers: bool, errors: str) -> None:
    """By levels: what holds itself so often that a recursion would not end well is what this looks for."""
    level = [found]
    for _ in range(depth + 1):
        if not level:
            return
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                value.encode(errors=errors)
            elif numbers and isinstance(value, int) and abs(value) >= _LARGEST:
                raise ValueError("a number that is beyond all floats")
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, dict):
                inner += value
                inner += value.values()
        level = inner
    if level:
        raise ValueError(f"it is nested more than {depth} deep")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in a map")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
