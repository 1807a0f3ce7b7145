"""experiment.log: what the library logged during a run, and what others warned of."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from multilearn.printable import printable
from multilearn.storage.own_files import open_own
from multilearn.storage.reading import opened
from multilearn.storage.refusals import closing, storing
from multilearn.storage.shield import SHIELD

__all__ = ["Installer", "file_log"]

Installer = Callable[[Path], AbstractContextManager[None]]
"""What `.with_application_logger` takes: called with the path of experiment.log, entered for the duration of `fit`."""

_TREE = "multilearn"
_LIKE_AN_ENTRY = re.compile(r"\n(?=\d{4}-\d\d-\d\dT)", re.ASCII)


@contextlib.contextmanager
def file_log(path: Path) -> Iterator[None]:
    """Append to `path`, while entered: our own loggers from INFO on, every other logger from WARNING on.

    A line is `2026-01-31T12:00:00.123Z INFO multilearn message` (UTC, level, logger), a traceback follows it. No other
    line begins with a time, and no message does anything to a terminal: see `printable`.
    The user's logging works exactly as without it, `logging.warning` on stderr too, and is as before afterwards.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    log = _LogFile(path)
    with closing(path, log.close):
        _TAP.add(log)
        try:
            yield
        finally:
            _TAP.remove(log)


class _LogFile:
    """One experiment.log: each record appended in one write, on a line of its own also after one that was cut off."""

    def __init__(self, path: Path) -> None:
        with storing(path):
            self._torn = _ends_within_a_line(path)
            with SHIELD:
                descriptor = open_own(path, path.parent, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                self._file = open(descriptor, "ab", buffering=0)  # noqa: SIM115

    def write(self, record: logging.LogRecord) -> None:
        text = _entry(record).encode(errors="backslashreplace")
        data = b"\n" + text if self._torn else text
        # a full disk, or a log closed meanwhile by another thread, must not fail a call of a logger
        with contextlib.suppress(OSError, ValueError):
            written = self._file.write(data)
            if written:
                self._torn = data[written - 1 : written] != b"\n"

    def close(self) -> None:
        self._file.close()


def _ends_within_a_line(path: Path) -> bool:
    """Whether the last line is not complete: a kill, or a full disk, took its end."""
    try:
        with opened(path, path.parent) as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
    except OSError:  # there is none yet; or it cannot be read, but perhaps written
        return False


def _entry(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit: the user's own handlers report it
        message = f"{record.msg} {record.args}"
    parts = [f"{time} {record.levelname} {record.name} {message}"]
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    text = "\n".join(printable(line) for part in parts for line in part.split("\n"))
    return _LIKE_AN_ENTRY.sub("\n  ", text) + "\n"


class _Tap:
    """Listens to every logger where records are made, for as long as a log is open.

    No handler is added, for each would change what the user sees: with one on the root logger Python's last-resort
    handler falls silent and `logging.basicConfig` does nothing. So records are read as the record factory makes them.
    The level of our tree is lowered to INFO; what the user's levels would not have let through is then held back
    from the user's handlers by a filter on the logger it came from.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: tuple[_LogFile, ...] = ()
        self._factory: _RecordFactory | None = None
        self._filtered: list[logging.Logger] = []
        self._levels: tuple[int, int] | None = None

    def add(self, log: _LogFile) -> None:
        with self._lock:
            if not self._logs:
                self._install()
            self._logs = (*self._logs, log)

    def remove(self, log: _LogFile) -> None:
        with self._lock:
            self._logs = tuple(other for other in self._logs if other is not log)
            if not self._logs:
                self._uninstall()

    def take(self, record: logging.LogRecord) -> None:
        """A record has been made; its logger has not handled it yet."""
        ours = record.name == _TREE or record.name.startswith(f"{_TREE}.")
        if record.levelno < (logging.INFO if ours else logging.WARNING):
            return
        logs = self._logs  # no lock: a process forked while another thread holds it could never log again
        if ours and logs:
            self._hold_back(logging.getLogger(record.name))
        for log in logs:
            log.write(record)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the user's levels let the record through: the filter on the loggers of our tree."""
        return record.levelno >= self._users_level(logging.getLogger(record.name))

    def _install(self) -> None:
        tree = logging.getLogger(_TREE)
        if tree.getEffectiveLevel() > logging.INFO:
            self._levels = tree.level, logging.INFO
            tree.setLevel(logging.INFO)
        self._factory = _RecordFactory(logging.getLogRecordFactory(), self)
        logging.setLogRecordFactory(self._factory)

    def _uninstall(self) -> None:
        factory, self._factory = self._factory, None
        if factory is not None:
            factory.tap = None  # it may have been wrapped meanwhile, and then it stays, without effect
            if logging.getLogRecordFactory() is factory:
                logging.setLogRecordFactory(factory.wrapped)
        tree = logging.getLogger(_TREE)
        levels, self._levels = self._levels, None
        if levels is not None and tree.level == levels[1]:
            tree.setLevel(levels[0])
        while self._filtered:
            self._filtered.pop().removeFilter(self)

    def _hold_back(self, logger: logging.Logger) -> None:
        if self not in logger.filters:
            logger.filters.insert(0, self)  # first, so that the user's filters see what they would have seen
            self._filtered.append(logger)

    def _users_level(self, logger: logging.Logger) -> int:
        node: logging.Logger | None = logger
        while node is not None:
            lowered = self._levels is not None and node.name == _TREE and node.level == self._levels[1]
            level = self._levels[0] if lowered and self._levels else node.level
            if level:
                return level
            node = node.parent
        return logging.NOTSET


class _RecordFactory:
    """Makes log records as before, and shows them to the tap."""

    def __init__(self, wrapped: Callable[..., logging.LogRecord], tap: _Tap) -> None:
        self.wrapped = wrapped
        self.tap: _Tap | None = tap

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.wrapped(*args, **kwargs)
        if self.tap is not None and isinstance(record.name, str):  # `logging.makeLogRecord` fills its blanks in later
            self.tap.take(record)
        return record


_TAP = _Tap()
