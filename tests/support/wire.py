"""Counts what this process does to the files below a directory, and does something about one of those calls.

`Fault("write", "record", 3, "half")`: the third write into a checkpoint's files writes half of its bytes, and then the
process kills itself. Every call that changes a disk is counted where Python makes it: files that are opened for
writing get a raw file of our own below their buffer, so that a write is what the operating system is asked for.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "fsync", "rename", "unlink", "truncate", "mkdir", "rmdir")
HOW = {"write": ("before", "half", "after")}
KINDS = {
    r"checkpoint/manifest\.json(\.tmp)?": "manifest",
    r"checkpoint/history\.log(\.tmp)?": "history",
    r"checkpoint/.+": "record",
    r"(train|valid|test)/.+\.log": "metrics",
    r"experiment\.log": "log",
    r"experiment\.json(\.tmp)?": "experiment",
    r"\.lock": "lock",
}


@dataclass(frozen=True)
class Fault:
    """At the `number`-th `call` on a file of this `kind`: killed `before`, `after`, or `half`way through a write.

    Or the folder of the file is `locked` before: its permissions are taken away, and the run goes on.
    """

    call: str
    kind: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.how} {self.call} {self.number} of {self.kind}"


def kind_of(path: str) -> str:
    """The kind of a path below the run's directory: of a file, or `folder`."""
    return next((kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, path)), "folder")


class Wire:
    """The counts, by call and kind, and the fault that waits for one of them.

    `quota`: how many bytes may be written before the disk is full, where no disk can be had that really is.
    """

    def __init__(self, root: Path, fault: Fault | None = None, quota: int | None = None) -> None:
        self.root = os.path.join(os.path.realpath(root), "")
        self.counts: Counter[tuple[str, str]] = Counter()
        self.fault = fault
        self.quota = quota
        self.written = 0
        self._lock = threading.Lock()

    def meets(self, call: str, path: Any) -> str | None:
        """Count a call; how it is to be cut short, if it is."""
        kind = self._kind(path)
        if kind is None:
            return None
        with self._lock:
            self.counts[call, kind] += 1
            number = self.counts[call, kind]
        fault = self.fault
        if not fault or (fault.call, fault.kind, fault.number) != (call, kind, number):
            return None
        if fault.how == "locked":
            os.chmod(os.path.dirname(path), 0o555)
            return None
        return fault.how

    def covers(self, path: Any) -> bool:
        return self._kind(path) is not None

    def _kind(self, path: Any) -> str | None:
        if isinstance(path, int):
            path = _path_of(path)
        text = os.path.join(os.path.realpath(os.path.dirname(os.fspath(path))), os.path.basename(os.fspath(path)))
        return kind_of(text.removeprefix(self.root)) if f"{text}/".startswith(self.root) else None

    def takes(self, size: int) -> int:
        """How many of so many bytes the disk still takes."""
        with self._lock:
            taken = size if self.quota is None else min(size, self.quota - self.written)
            self.written += taken
        return taken


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(wire: Wire) -> None:
    """From now on every call is counted."""
    for name, call in {
        "fsync": "fsync",
        "replace": "rename",
        "rename": "rename",
        "unlink": "unlink",
        "remove": "unlink",
        "truncate": "truncate",
        "mkdir": "mkdir",
        "rmdir": "rmdir",
    }.items():
        setattr(os, name, _counted(wire, call, getattr(os, name)))
    os.open = _counting_open(wire, os.open)
    builtins.open = io.open = _opening(wire, io.open)


def _counted(wire: Wire, call: str, function: Any) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        how = wire.meets(call, _concerned(call, args, kwargs))
        if how == "before":
            die()
        result = function(*args, **kwargs)
        if how:
            die()
        return result

    return counted


def _concerned(call: str, args: Any, kwargs: Any) -> Any:
    """The path that a call is about, also where it is relative to an open folder; of a rename the new one."""
    path = args[1] if call == "rename" else args[0]
    folder = kwargs.get("dst_dir_fd" if call == "rename" else "dir_fd")
    return path if folder is None else os.path.join(_path_of(folder), path)


def _counting_open(wire: Wire, function: Any) -> Any:
    counted = _counted(wire, "open", function)

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        return (counted if writes else function)(path, flags, *args, **kwargs)

    return opening


def _opening(wire: Wire, function: Any) -> Any:
    def opening(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wxa+") or not wire.covers(file):
            return function(file, mode, buffering, *args, **kwargs)
        # a descriptor was counted when it was made
        how = None if isinstance(file, int) else wire.meets("open", file)
        if how == "before":
            die()
        raw = _Raw(wire, file, mode.replace("b", "").replace("t", ""))
        if how:
            die()
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **kwargs)

    return opening


class _Raw(io.FileIO):
    def __init__(self, wire: Wire, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self._wire = wire
        self._path = _path_of(file) if isinstance(file, int) else os.fspath(file)

    def write(self, data: Any, /) -> int:
        how = self._wire.meets("write", self._path)
        view = memoryview(data).cast("B")
        if how == "before":
            die()
        if how == "half":
            super().write(view[: len(view) // 2])
            die()
        taken = self._wire.takes(len(view))
        if not taken and len(view):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(view[:taken])
        if how:
            die()
        return written

    def truncate(self, size: int | None = None, /) -> int:
        how = self._wire.meets("truncate", self._path)
        if how == "before":
            die()
        length = super().truncate(size)
        if how:
            die()
        return length
