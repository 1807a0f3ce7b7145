"""`multilearn plot`: runs as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["plot"]

Runs = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.")]


def plot(
    directories: Runs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .svg; or a .pdf or .png, by matplotlib.")
    ] = Path("curves.svg"),
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="M", help="A metric by its name; may be repeated.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--runs", help="A line for each run, in place of the mean over seeds.")
    ] = False,
) -> None:
    """Draw the curves of runs as one picture, for a paper: of equal runs, of equal bytes.

    Where a backend has several seeds, it is their mean, and the area from the least to the greatest value.
    """
    from multilearn.commands.plot import plot as draw

    print(f"written: {draw(directories, output, metric or (), separate)}")
