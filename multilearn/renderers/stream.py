"""A text stream that never fails the training that writes to it."""

from __future__ import annotations

from io import StringIO
from typing import TextIO

__all__ = ["ForgivingStream"]


class ForgivingStream:
    """Writes to `stream` what its encoding can show, `?` for the rest; silent once the stream is closed or gone.

    None, in a process without standard streams, such as pythonw, is a stream that is gone.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None else StringIO()
        self._gone = stream is None

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
