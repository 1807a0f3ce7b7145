"""A text stream that never fails the training that writes to it."""

from __future__ import annotations

import codecs
import os
from typing import Any, TextIO

from multilearn.renderers.notation import BLOCKS

__all__ = ["ForgivingStream"]

_IN_ASCII = str.maketrans(f"{BLOCKS}━", "_.-:=+*#-")


class ForgivingStream:
    """Writes to `stream` what its encoding can show, other characters for curves and bars, and `?` for the rest; silent
    once the stream is closed or gone.

    All that a stream needs is a method `write`: an object that scripts put in the place of `sys.stdout` has little
    more. None, in a process without standard streams, such as pythonw, is a stream that is gone.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = stream
        self._gone = stream is None

    @property
    def encoding(self) -> str:
        """That of the stream; UTF-8 if it names none that Python knows."""
        try:
            "".encode(name := codecs.lookup(self._stream.encoding).name)
        except Exception:  # it has none, or something else by that name
            return "utf-8"
        return name

    def can_show(self, text: str) -> bool:
        """Whether its encoding has these characters."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def write(self, text: str) -> int:
        encoding, written = self.encoding, text
        if not self.can_show(text):
            written = text.translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
        self._call("write", written)
        return len(text)

    def say(self, line: str) -> None:
        """Write it with a newline, at once."""
        self.write(f"{line}\n")
        self.flush()

    def flush(self) -> None:
        self._call("flush")

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except Exception:  # it does not say
            return False

    def draws(self) -> bool:
        """Whether it is a terminal on which what is drawn can be replaced."""
        return self.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown") and self._in_foreground()

    @property
    def is_gone(self) -> bool:
        """Whether nothing that is written arrives any more: a pipe without a reader, a closed file."""
        return self._gone

    def _in_foreground(self) -> bool:
        """What is drawn by a job in the background would lie over the shell that has the terminal."""
        try:
            return os.tcgetpgrp(self.fileno()) == os.getpgrp()
        except (AttributeError, OSError):  # not the terminal of this session; no such groups on this system
            return True

    def fileno(self) -> int:
        """Raises `OSError` if it has none."""
        try:
            number = self._stream.fileno()
        except Exception as error:
            raise OSError("a stream without a file descriptor") from error
        if not isinstance(number, int):
            raise OSError("a stream without a file descriptor")
        return number

    def _call(self, method: str, *text: str) -> None:
        """Whatever a stream that is not ours raises is no reason to end a run."""
        if self._gone:
            return
        try:
            if (call := getattr(self._stream, method, None)) is not None:
                call(*text)
        except BlockingIOError:
            pass
        except UnicodeEncodeError:  # what it writes to knows fewer characters than it says
            fewer = [each.translate(_IN_ASCII).encode("ascii", "replace").decode() for each in text]
            self._gone = fewer == list(text)
            self._call(method, *fewer)
        except Exception:
            self._gone = True
