"""A text stream that never fails the training that writes to it."""

from __future__ import annotations

from typing import TextIO

__all__ = ["ForgivingStream"]


class ForgivingStream:
    """Writes to `stream` what its encoding can show, `?` for the rest; silent once the stream is closed or gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        try:
            if not self._gone:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._gone = True
        return len(text)

    def flush(self) -> None:
        try:
            if not self._gone:
                self._stream.flush()
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._gone = True

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        return self._stream.fileno()
