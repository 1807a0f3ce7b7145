"""Looking into a folder of checkpoints that another process may be writing to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from multilearn.checkpoint.manifest import NAME
from multilearn.errors import CheckpointError

__all__ = ["steadily"]

T = TypeVar("T")

_TRIES = 10


def steadily(folder: Path, look: Callable[[], T], good: Callable[[T], bool] = lambda found: True) -> T:
    """What `look` returns or raises.

    It is called again where its result is not `good`, or a `CheckpointError`, and the manifest was written meanwhile:
    a checkpoint that it named is replaced or removed then, and not damaged.
    """
    for _ in range(_TRIES):
        before = _stamp(folder)
        try:
            found = look()
            if good(found) or _stamp(folder) == before:
                return found
        except CheckpointError:
            if _stamp(folder) == before:
                raise
    return look()


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    """Of the manifest: another one each time that it is written. None if there is none."""
    try:
        facts = (folder / NAME).lstat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
