"""`multilearn report` and `multilearn plot`: runs as a page, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["plot", "report"]

Runs = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.")]


def report(
    directories: Runs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="An .html file; one that is there is replaced.")
    ] = Path("report.html"),
    tolerance: Annotated[
        float, typer.Option(metavar="T", help="Relative, for losses; shares may differ by one item.")
    ] = 1e-4,
    title: Annotated[str, typer.Option(metavar="TITLE", help="The heading of the report.")] = "Training report",
) -> None:
    """Write one HTML file about runs, which needs nothing else: curves, a verdict, and what the runs ran on.

    The verdict is that of `multilearn compare`; the exit code is 0 whatever it is.
    """
    from multilearn.commands.report.report import report as write
    from multilearn.commands.text import size

    target = write(directories, output, tolerance, title)
    print(f"written: {target} ({size(target.stat().st_size)})")


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

    If a backend has several seeds, it is their mean, and the area from the least to the greatest value.
    """
    from multilearn.commands.plot import plot as draw

    print(f"written: {draw(directories, output, metric or (), separate)}")
