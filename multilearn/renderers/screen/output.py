"""The last lines of what a script prints, read from the file that it goes into."""

from __future__ import annotations

import re
from pathlib import Path

from multilearn.printable import printable

__all__ = ["OutputTail"]

_KEPT = 500  # lines
_AT_ONCE = 1 << 18  # bytes: of more only the end is looked at
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class OutputTail:
    """`lines` as a terminal would have them: without colours, the last text of a line that was written over."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._read = 0
        self._open = ""
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        return [*self._lines, *([_shown(self._open)] if self._open else [])]

    @property
    def size(self) -> int:
        """How many bytes were read: what is shown is another one when it is."""
        return self._read

    def follow(self) -> None:
        """Read what has come since."""
        if self.path is None:
            return
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                if end - self._read > _AT_ONCE:
                    self._read, self._open = end - _AT_ONCE, ""
                file.seek(self._read)
                data = file.read(end - self._read)
        except OSError:
            return
        self._read += len(data)
        *whole, self._open = (self._open + data.decode(errors="replace")).replace("\r\n", "\n").split("\n")
        self._lines = [*self._lines, *map(_shown, whole)][-_KEPT:]


def _shown(line: str) -> str:
    text = _SEQUENCE.sub("", line).rstrip("\r").rpartition("\r")[2]
    return printable(text.expandtabs())
