"""The command line, a module for each group of commands. No framework is imported by any of them.

What they do is in `multilearn.commands`; here are only names of options, exit codes, and where output goes.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from multilearn.cli.app import app
from multilearn.cli.drawing import plot, report
from multilearn.cli.exporting import export
from multilearn.cli.reading import backends, compare, inspect, list_runs
from multilearn.cli.running import diff_step, run
from multilearn.cli.watching import stop, watch
from multilearn.errors import MultilearnError

__all__ = ["main"]

_UNUSABLE = 2  # the exit code for input that cannot be used, as for a mistyped option

# in the order of --help
_SHOWING = (watch, stop, list_runs, report, compare, plot, export)
for _command in (run, *_SHOWING, diff_step, inspect, backends):
    app.command("list" if _command is list_runs else None)(_command)


def main() -> None:
    """The console script. Ends the process: 0 for success, 1 for the answer "no", 2 for what cannot be used."""
    _escape_unprintable()
    try:
        app(prog_name="multilearn")
    except MultilearnError as error:
        print(f"multilearn: {error}", file=sys.stderr)
        sys.exit(_UNUSABLE)
    finally:
        _close_output()


def _escape_unprintable() -> None:
    """What the encoding of a terminal or a pipe has no character for is written as its escape, such as `\\u2581`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _close_output() -> None:
    """A reader that went away (`| head`) is no error worth a traceback at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
