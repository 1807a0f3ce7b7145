"""experiment.log: what the library logged during a run, and what others warned of."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from multilearn.printable import printable
from multilearn.storage.own_files import open_own
from multilearn.storage.reading import opened
from multilearn.storage.refusals import closing, storing

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
    The user's logging goes on exactly as without it, `logging.warning` on stderr too, and is as before afterwards.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    log = _LogFile(path)
    with closing(path, log.close), _Tap(log):
        yield


class _LogFile:
    """One experiment.log: each record appended in one write, on a line of its own also after one that was cut off."""

    def __init__(self, path: Path) -> None:
        with storing(path):
            self._torn = _ends_within_a_line(path)
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
    """Listens to every logger where records are made, while entered.

    No handler is added, for each would change what the user sees: with one on the root logger Python's last-resort
    handler falls silent and `logging.basicConfig` does nothing. So records are read as the record factory makes them.
    The level of our tree is lowered to INFO; what the user's levels would not have let through is then held back
    from the user's handlers by a filter on the logger it came from.
    """

    def __init__(self, log: _LogFile) -> None:
        self._log: _LogFile | None = log
        self._factory = logging.getLogRecordFactory()
        self._filtered: list[logging.Logger] = []
        self._tree = logging.getLogger(_TREE)
        self._level = self._tree.level
        self._lowered = self._tree.getEffectiveLevel() > logging.INFO

    def __enter__(self) -> None:
        if self._lowered:
            self._tree.setLevel(logging.INFO)
        logging.setLogRecordFactory(self._made)

    def __exit__(self, *error: object) -> None:
        self._log = None  # the factory may have been wrapped meanwhile, and then it stays, without effect
        if logging.getLogRecordFactory() == self._made:
            logging.setLogRecordFactory(self._factory)
        if self._is_lowered():
            self._tree.setLevel(self._level)
        for logger in self._filtered:
            logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the user's levels let the record through: the filter on the loggers of our tree."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            level = self._level if logger is self._tree and self._is_lowered() else logger.level
            if level:
                return record.levelno >= level
            logger = logger.parent
        return True

    def _made(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        """A record, made as before; its logger has not handled it yet."""
        record = self._factory(*args, **kwargs)
        log, name = self._log, record.name
        if log is None or not isinstance(name, str):  # `logging.makeLogRecord` fills its blanks in later
            return record
        ours = name == _TREE or name.startswith(f"{_TREE}.")
        if ours and self not in (logger := logging.getLogger(name)).filters:
            logger.filters.insert(0, self)  # first, so that the user's filters see what they would have seen
            self._filtered.append(logger)
        if record.levelno >= (logging.INFO if ours else logging.WARNING):
            log.write(record)
        return record

    def _is_lowered(self) -> bool:
        return self._lowered and self._tree.level == logging.INFO
