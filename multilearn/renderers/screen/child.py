"""The screen's own process: events come in through a pipe, wishes go out as signals to the training."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["main"]

_AGAIN = 0.05  # seconds after the first SIGINT, which only asks
_SETTLED = 0.05
_LAST = 1 << 16  # bytes of output that are shown if the training died: a list of modules is long


def main() -> int:
    """Its arguments are the options, the pipe's reading end, and the file that the training's output goes into."""
    # Ctrl-C is a key here, a signal for the group is meant for the training, and the terminal must not stop this one
    for number in (signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    options, pipe, path = json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGHUP, lambda number, frame: _without_terminal(path))
    training = int(options["training"])

    from multilearn.renderers.screen.app import RunScreen, Wish
    from multilearn.renderers.screen.wire import decode

    def ask(wish: Wish) -> None:
        if wish == "sleep":
            for number in (signal.SIGTSTP, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)  # Textual would take the terminal also in the background
            with app.suspend():
                os.killpg(0, signal.SIGTSTP)
                time.sleep(_SETTLED)
                if os.tcgetpgrp(0) != os.getpgrp():  # it continues in the background, if there is no screen
                    os._exit(0)
            return
        os.kill(training, signal.SIGINT)
        if wish == "kill":
            app.set_timer(_AGAIN, insist)

    def insist() -> None:
        if not gone():
            os.kill(training, signal.SIGINT)

    def gone() -> bool:
        return os.getppid() != training

    events = decode(lambda size: os.read(pipe, size))
    app = RunScreen(
        [("", events)],
        ask=ask,
        output=path,
        persistent=options["persistent"],
        gone=gone,
    )
    if not gone():
        app.run()
    if gone():
        with suppress(OSError):
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST))
                sys.stdout.write(file.read().decode(errors="replace"))
            print("\nmultilearn: the process that trained has ended and has not said why", flush=True)
        with suppress(OSError):
            path.unlink()
    return 1 if app.return_code else 0


def _without_terminal(path: Path) -> None:
    """It was closed: nothing can be shown, nor given back."""
    with suppress(OSError):
        path.unlink()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
