"""The command line: `multilearn run`, `compare`, `inspect`, `backends`. No framework is imported by any of them.

What they do is in `multilearn.experiments`; here are only names of options, exit codes, and where output goes.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from multilearn.errors import MultilearnError

__all__ = ["main"]

_UNUSABLE = 2  # the exit code for input that cannot be used, as for a mistyped option

app = typer.Typer(
    name="multilearn",
    help="One experiment on PyTorch, TensorFlow and JAX: run it, compare the runs, look into them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def main() -> None:
    """The console script. Ends the process: 0 for success, 1 for the answer "no", 2 for what cannot be used."""
    try:
        app(prog_name="multilearn")
    except MultilearnError as error:
        print(f"multilearn: {error}", file=sys.stderr)
        sys.exit(_UNUSABLE)
    finally:
        _close_output()


def _print_version(asked: bool) -> None:
    if asked:
        try:
            print(f"multilearn {version('multilearn')}")
        except PackageNotFoundError:
            print("multilearn (not installed: running from its source)")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def run(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="A Python script that trains with multilearn.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]", help="Arguments of the script, after a --.")
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="B", help="torch, tensorflow, jax, ...; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Wins over the script's own seed.")] = None,
) -> None:
    """Run a script on each backend, one fresh process after the other.

    The output has the backend in front of every line. A failure does not stop the others; the exit code is the
    first that is not zero. Ctrl-C is passed on to the running script, and the rest is not started.
    """
    from multilearn.experiments import processes
    from multilearn.experiments.text import aligned

    outcome = processes.run(processes.Plan.checked(script, arguments or (), backend or (), seed))
    if len(outcome.ended) > 1:
        print("\n".join(aligned([[f"multilearn: {each.backend}", *each.told()] for each in outcome.ended], right=(2,))))
    raise typer.Exit(outcome.code)


@app.command()
def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Run directories.")],
    tolerance: Annotated[
        float, typer.Option(metavar="T", help="Relative, for losses; shares may differ by one item.")
    ] = 1e-4,
    prefix: Annotated[bool, typer.Option("--prefix", help="Accept different numbers of epochs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs epoch by epoch; exit 0 where they are the same within the tolerance, else 1."""
    from multilearn.experiments import comparison, comparison_report

    result = comparison.compare(directories, tolerance, prefix)
    print(comparison_report.as_json(result) if as_json else comparison_report.as_text(result))
    raise typer.Exit(0 if result.same else 1)


@app.command()
def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", help="A run's directory, or a record (.mpk.gz, .mpk, .safetensors)."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a run or a record holds; exit 1 where something is not intact."""
    from multilearn.experiments import inspection

    found = inspection.inspect(path)
    print(found.as_json() if as_json else found.as_text())
    raise typer.Exit(0 if found.intact else 1)


@app.command()
def backends(as_json: AsJson = False) -> None:
    """Show what is installed, on which devices it runs, and which backend would be used."""
    from multilearn.experiments import installation

    found = installation.look()
    print(found.as_json() if as_json else found.as_text())


def _close_output() -> None:
    """A reader that went away (`| head`) is no error worth a traceback at exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
