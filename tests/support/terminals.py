"""Programs on a terminal of tmux: their screen is looked at, and keys are pressed."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

__all__ = ["TmuxTerminal", "needs_tmux", "tmux_terminal"]

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class TmuxTerminal:
    """A shell in a tmux server of its own."""

    def __init__(self, socket: Path, folder: Path, size: tuple[int, int], environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        columns, lines = map(str, size)
        variables = [part for name, value in environment.items() for part in ("-e", f"{name}={value}")]
        shell = ["-c", str(folder), *variables, "bash --norc --noprofile"]
        self._run("new-session", "-d", "-x", columns, "-y", lines, *shell)
        self._run("set", "-g", "status", "off")
        self.enter("PS1='$ '; clear")

    def _run(self, *arguments: str) -> str:
        ran = subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True)
        return ran.stdout

    def press(self, *keys: str) -> None:
        """By their names in tmux: `q`, `C-c`, `Enter`."""
        self._run("send-keys", *keys)

    def enter(self, line: str) -> None:
        self._run("send-keys", "-l", line)
        self.press("Enter")

    def text(self, history: int = 0) -> str:
        """What is on it, and so many lines above that."""
        return self._run("capture-pane", "-p", "-S", str(-history))

    def wait(self, pattern: str, seconds: float = 60, history: int = 0) -> str:
        """Until that is on it."""
        end = time.monotonic() + seconds
        while not re.search(pattern, found := self.text(history), re.MULTILINE):
            assert time.monotonic() < end, f"no {pattern!r} on\n{found}"
            time.sleep(0.1)
        return found

    def processes(self, of: str) -> list[psutil.Process]:
        """Those in it whose command line has an argument that ends with `of`."""
        shell = psutil.Process(int(self._run("display", "-p", "#{pane_pid}")))
        found = []
        for process in shell.children(recursive=True):
            if any(part.endswith(of) for part in process.cmdline()):
                found.append(process)
        return found

    def modes(self) -> set[str]:
        """Of the terminal: `icanon`, `echo`, `isig`, or `-icanon` and so on; and `cursor`, and `ordinary` screen."""
        self.enter("clear; echo MODES $(stty -a | tr ' ;' '\\n\\n' | grep -xE -- '-?(icanon|echo|isig)')")
        modes = re.search(r"^MODES (.*)$", self.wait(r"^MODES \S+ \S+ \S+"), re.MULTILINE)
        assert modes is not None
        flags = self._run("display", "-p", "#{cursor_flag} #{alternate_on}").split()
        return {*modes[1].split(), *(["cursor"] if flags[0] == "1" else []), *(["ordinary"] if flags[1] == "0" else [])}

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)


@contextmanager
def tmux_terminal(
    folder: Path,
    size: tuple[int, int] = (80, 24),
    environment: dict[str, str] | None = None,
    command: Sequence[str] = (),
) -> Iterator[TmuxTerminal]:
    """One that is closed afterwards; `command` is entered at once."""
    opened = TmuxTerminal(folder / "tmux", folder, size, environment or {})
    try:
        if command:
            opened.enter(" ".join(command))
        yield opened
    finally:
        opened.close()
