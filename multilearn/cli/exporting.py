"""`multilearn export`: runs as points of a tracker, or as a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.")],
    to: Annotated[str, typer.Option("--to", metavar="TARGET", help="tensorboard, mlflow, wandb, trackio, or csv.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="For csv a file, for tensorboard a folder, for mlflow a server or a database file.",
        ),
    ] = None,
    batches: Annotated[bool, typer.Option("--batches", help="With csv: the values of batches, too.")] = False,
) -> None:
    """Have a tracker show what a run's directory has: of a run that is finished, stopped, killed or still running.

    What the tracker has already is not logged again, so a run can be exported as often as you like. With csv it prints
    one long table of the epoch values, with a row for each value.
    """
    from multilearn.commands import export as exporting

    for line in exporting.export(directories, to, output, batches=batches):
        print(line, file=sys.stderr if to == exporting.CSV else sys.stdout)
