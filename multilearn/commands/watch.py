"""`multilearn watch`: runs of other processes while they train, as lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from multilearn.commands.stop import REASON
from multilearn.errors import MultilearnError, pip_install
from multilearn.events import Event, Finished, Started
from multilearn.following import Following, follow
from multilearn.loggers.stop_request import request_stop
from multilearn.printable import printable
from multilearn.renderers.lines import Lines
from multilearn.renderers.screen.renderer import missing
from multilearn.renderers.stream import ForgivingStream
from multilearn.storage.lock import holder

__all__ = ["UNLOGGED", "followed", "watch", "watch_lines"]

UNLOGGED = "this run logs no metric files (.metric_loggers without FileMetricLogger): only its end can be seen"


def followed(directories: Sequence[Path], every: float) -> list[tuple[str, Following]]:
    """Each run under the shortest name that tells it from the others. Raises `DirectoryError` for what is no run."""
    runs = [follow(directory, every=every) for directory in dict.fromkeys(path.resolve() for path in directories)]
    paths = [str(following.run.path.absolute()) for following in runs]
    shared = len(os.path.commonpath([os.path.dirname(path) for path in paths])) + 1
    return [(printable(path[shared:].lstrip(os.sep)) or path, run) for path, run in zip(paths, runs, strict=True)]


def watch(runs: Sequence[tuple[str, Following]], stream: TextIO, every: float, *, lines: bool) -> None:
    """Show the runs on the whole screen of a terminal, or else, and with `lines`, as lines in `stream`."""
    if not lines and sys.stdin.isatty() and ForgivingStream(stream).draws():
        if (found := missing()) is None:
            from multilearn.renderers.screen.app import RunScreen

            RunScreen(runs, watching=True, ask=lambda wish: _ask_to_stop(runs), wishes=["stop"]).run()
            return
        print(f"multilearn: {found}: without a screen; {pip_install('screen')} for one", file=sys.stderr)
    watch_lines(runs, stream, every)


def watch_lines(runs: Sequence[tuple[str, Following]], stream: TextIO, every: float) -> None:
    """Write a line where each run starts, one for each epoch, one where it ends, until all have ended.

    Of several runs each line begins with the name of its run.
    """
    width = max(len(name) for name, _ in runs)
    watched = [
        _Watched(following, _Named(stream, f"{name:{width}}  " if len(runs) > 1 else "")) for name, following in runs
    ]
    while any([run.is_going_on() for run in watched]):
        time.sleep(every)


def _ask_to_stop(runs: Sequence[tuple[str, Following]]) -> None:
    for _, following in runs:
        with suppress(MultilearnError, OSError):  # one that has ended, or in a directory of others
            if holder(following.run.directory.lock) is not None:
                request_stop(following.run.directory, REASON)


class _Named(ForgivingStream):
    """Writes the name of a run in front of its lines."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self._name = name

    def say(self, line: str) -> None:
        super().say(f"{self._name}{line}")


class _Watched:
    """A run and the lines that are written of it."""

    def __init__(self, following: Following, stream: ForgivingStream) -> None:
        self._following, self._stream = following, stream
        self._lines: Lines | None = None
        self._ended = self._unlogged = False

    def is_going_on(self) -> bool:
        """Write what is new. Whether more may come."""
        if not self._ended:
            for event in self._following.new():
                if isinstance(event, Finished):
                    self._say_unlogged()
                self._take(event)
            self._say_unlogged()
        return not (self._ended or self._stream.is_gone)

    def _say_unlogged(self) -> None:
        if not (self._unlogged or self._ended) and self._following.run.logs_nothing:
            self._unlogged = True
            self._stream.say(UNLOGGED)

    def _take(self, event: Event) -> None:
        clock = self._following.clock
        if isinstance(event, Started):
            self._lines = Lines(self._stream, event, clock)
        elif self._lines is not None:
            self._lines.render(event, clock)
        self._ended = isinstance(event, Finished)
