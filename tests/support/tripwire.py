"""What a kill leaves on the disk: at every durable change, and by a real kill of a forked process."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

CALLS = ("fsync", "replace", "unlink")


class Tripwire:
    """Has `act` happen before (or right after) the n-th call of a function that changes the disk durably."""

    def __init__(self, n, after, act):
        self.left, self.after, self.act = n, after, act

    def around(self, function):
        def tripped(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                self.act()
            try:
                return function(*args, **kwargs)
            finally:
                if self.left == 0 and self.after:
                    self.act()

        return tripped

    def install(self, patch):
        for name in CALLS:
            patch.setattr(os, name, self.around(getattr(os, name)))


def moments(folder: Path, copies: Path, change: Callable[[], object]) -> list[Path]:
    """Copies of `folder` as a kill would leave it before and after each durable change that `change` makes, in order.

    A kill takes away what a process holds and nothing that it has given to the system, so that what is found after one
    is what another process finds at that moment. Where nothing changed between two moments there is one copy of both.
    """
    found: list[tuple[Path, dict[str, bytes]]] = []

    def look() -> None:
        state = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files(folder)}
        if not found or found[-1][1] != state:
            path = Path(shutil.copytree(folder, copies / str(len(found))))
            found.append((path, state))

    def around(function):
        def looked(*args, **kwargs):
            look()
            try:
                return function(*args, **kwargs)
            finally:
                look()

        return looked

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, around(getattr(os, name)))
        change()
    return [path for path, _ in found]


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def killed(wire, save):
    """Save in a child process with a wire that kills it; True if it was."""
    child = os.fork()
    if child == 0:
        try:
            wire.install(pytest.MonkeyPatch())
            save()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
