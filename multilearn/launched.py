"""The processes that `multilearn run --devices` starts on this machine: what it says to them, and how they end."""

from __future__ import annotations

import os
import sys
from functools import cache
from types import TracebackType

from multilearn.environment_variables import LEASH, read

__all__ = ["end_with_launcher", "ranks", "show_without_traceback"]

_PATIENCE = 8.0
"""Seconds for a process whose launcher is gone to end its batch and to save."""


def ranks(count: int) -> list[dict[str, str]]:
    """The variables of each of `count` processes, in the words of torchrun."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        # several busy pools of threads on the same cores make a step many times slower
        "OMP_NUM_THREADS": read("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count)),
        LEASH: "1",
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


@cache
def end_with_launcher() -> None:
    """Have this process end when the launcher that started it is gone, which its standard input shows: as at a SIGTERM,
    and if that does not help, at once."""
    if read(LEASH) is None:
        return
    import signal
    import threading
    import time

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="multilearn-launcher", daemon=True).start()


def show_without_traceback(kind: type[Exception]) -> None:
    """Have an error of this kind, if it ends the process, shown in one line: what went wrong is in another process."""
    shown = sys.excepthook

    def show(of: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(of, kind):
            print(f"multilearn: {error}", file=sys.stderr)
        else:
            shown(of, error, traceback)

    sys.excepthook = show
