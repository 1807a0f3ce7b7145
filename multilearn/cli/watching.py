"""`multilearn watch` and `stop`: runs that other processes train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["stop", "watch"]


def watch(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.")],
    lines: Annotated[bool, typer.Option("--lines", help="Write lines, also on a terminal.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.05, max=3600, metavar="SECONDS", help="How often to look for more.")
    ] = 0.5,
) -> None:
    """Watch runs that other processes train, until they have ended: from their directories, also through ssh -t.

    On a terminal it is the full screen, several runs in one chart; into a pipe, or with --lines, a line for each epoch.
    A run that has ended is shown as it was. The runs notice nothing of it.
    """
    from multilearn.commands import watch as watching

    try:
        watching.watch(watching.followed(directories, every), sys.stdout, every, lines=lines)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def stop(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run's directory.")],
    patience: Annotated[
        float, typer.Option("--wait", min=0.0, metavar="SECONDS", help="How long to wait for its end.")
    ] = 60.0,
) -> None:
    """Ask the process that trains a run to stop after its batch and to save; exit 0 if it has ended, 1 if not yet."""
    from multilearn.commands import stop as stopping

    stopped = stopping.stop(directory, patience)
    print(stopped.text)
    raise typer.Exit(0 if stopped.ended else 1)
