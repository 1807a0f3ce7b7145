"""`multilearn list`, `compare`, `inspect` and `backends`: what is on disk, and what is installed, as text or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multilearn.cli.app import AsJson
from multilearn.errors import ConfigurationError

__all__ = ["backends", "compare", "inspect", "list_runs"]

_WIDTH = 80
"""Of a comparison in columns, whatever the terminal: it is read in logs and in mails as well."""


def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Run directories.")],
    tolerance: Annotated[
        float, typer.Option(metavar="T", help="Relative, for losses; shares may differ by one item.")
    ] = 1e-4,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Accept different numbers of epochs, and seeds that a backend lacks.")
    ] = False,
    ungrouped: Annotated[
        bool, typer.Option("--ungrouped", help="Compare all with each other, whatever their seeds.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs epoch by epoch; exit 0 if they are the same within the tolerance, else 1.

    If a backend has several seeds, the runs of each seed are compared with each other, and what they came to over
    the seeds. It says which preconditions of an equal experiment held, and of different runs the first difference.
    """
    from multilearn.commands import text as blocks
    from multilearn.commands.compare import report as comparison_report
    from multilearn.commands.compare import study, study_report
    from multilearn.commands.compare.values import Comparison
    from multilearn.commands.text import document

    if as_json and as_markdown:
        raise ConfigurationError("A comparison is printed in one form.", received="--json and --markdown")
    result = study.compare_grouped(directories, tolerance, prefix, ungrouped)
    parts: list[blocks.Block]
    if isinstance(result, Comparison):
        content, parts = comparison_report.plain(result), comparison_report.blocks(result)
    else:
        content, parts = study_report.plain(result), study_report.blocks(result)
    print(document(content) if as_json else blocks.as_markdown(parts) if as_markdown else blocks.as_text(parts, _WIDTH))
    raise typer.Exit(0 if result.same else 1)


def list_runs(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to look for runs.")] = Path("runs"),
    metric: Annotated[str, typer.Option("--metric", "-m", metavar="M", help="What ranks them.")] = "Loss",
    as_json: AsJson = False,
) -> None:
    """List the runs in a directory and below it, the best one first, by a metric on validation."""
    from multilearn.commands import listing

    found = listing.list_runs(directory, metric)
    print(found.as_json() if as_json else found.as_text())


def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", help="A run's directory, or a record (.mpk.gz, .mpk, .safetensors)."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a run or a record holds; exit 1 if something is not intact."""
    from multilearn.commands import inspect as inspection

    found = inspection.inspect(path)
    print(found.as_json() if as_json else found.as_text())
    raise typer.Exit(0 if found.intact else 1)


def backends(as_json: AsJson = False) -> None:
    """Show what is installed, on which devices it runs, and which backend would be used."""
    from multilearn.commands import backends as installation

    found = installation.look()
    print(found.as_json() if as_json else found.as_text())
