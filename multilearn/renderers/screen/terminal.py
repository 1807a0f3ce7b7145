"""The terminal of this process while a child draws on it: what is printed meanwhile goes into a file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["LentTerminal"]

_PATIENCE = 5.0  # seconds for the child to end when there is nothing more to show
_SHOWN = 1 << 20  # bytes of what was printed that are shown afterwards
# no mouse, no paste marks, no key protocol, cursor on, lines wrap, the ordinary screen: if the child did not do it
_GIVEN_BACK = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[?25h\x1b[?7h\x1b[?1049l\x1b[0m"
)


class LentTerminal:
    """Starts `command` on the terminal, with the reading end of a pipe and the path of the file as its last arguments.

    Until `take_back`, standard input of this process is empty, and its output, also that of C and of other processes
    that it starts, goes into the file.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        import termios

        self._flush()
        self._attributes = termios.tcgetattr(0)
        self._file = tempfile.NamedTemporaryFile(prefix="multilearn-", suffix=".out", delete=False)  # noqa: SIM115
        theirs, self.pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        try:
            self._child = subprocess.Popen(
                [*command, str(theirs), self._file.name], pass_fds=[theirs], stderr=1, env=environment
            )
        except BaseException:
            os.close(self.pipe)
            self._file.close()
            os.unlink(self._file.name)
            raise
        finally:
            os.close(theirs)
        # what leads elsewhere, such as 2> errors.txt, is left alone
        self._saved = {fd: os.dup(fd) for fd in (0, 1, 2) if os.isatty(fd)}
        empty = os.open(os.devnull, os.O_RDONLY)
        for fd in self._saved:
            os.dup2(self._file.fileno() if fd else empty, fd)
        os.close(empty)

    @property
    def ended(self) -> bool:
        """Whether the child is gone."""
        return self._child.poll() is not None

    def take_back(self, patiently: bool) -> None:
        """Wait for the child to end, `patiently` as long as it wants; then the terminal is as it was, and on it what
        was printed meanwhile. Also if a KeyboardInterrupt comes in between."""
        code: int | None = None
        try:
            with suppress(OSError):
                os.close(self.pipe)  # the child sees the end
            code = self._child.wait(None if patiently else _PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if code is None:
                self._child.kill()
                self._child.wait()
            self._restore(clear=code != 0)

    def _restore(self, clear: bool) -> None:
        import termios

        self._flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        with suppress(OSError, termios.error):  # the terminal may be gone
            if clear:
                os.write(1, _GIVEN_BACK)
            if os.tcgetpgrp(0) == os.getpgrp():  # in the background it would stop this process
                termios.tcsetattr(0, termios.TCSADRAIN, self._attributes)
        self._show()

    def _show(self) -> None:
        self._file.close()
        path = Path(self._file.name)
        with suppress(OSError):
            size = path.stat().st_size
            with path.open("rb") as file:
                if size > _SHOWN:
                    file.seek(size - _SHOWN)
                    file.readline()
                while data := file.read(1 << 16):
                    _write(data)
            if size > _SHOWN:
                _write(
                    f"multilearn: {size >> 20} MB were printed, this was the last of it; all is in {path}\n".encode()
                )
            else:
                path.unlink()

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
