"""The command line: `multilearn run`, `compare`, `inspect`, `backends`. No framework is imported by any of them.

What they do is in `multilearn.commands`; here are only names of options, exit codes, and where output goes.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from multilearn.errors import ConfigurationError, MultilearnError

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

Script = Annotated[Path, typer.Argument(metavar="SCRIPT", help="A Python script that trains with multilearn.")]
Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="[-- ARGS]", help="Arguments of the script, after a --.")
]
Backends = Annotated[
    list[str] | None, typer.Option("--backend", "-b", metavar="B", help="torch, tensorflow, jax, ...; may be repeated.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Wins over the script's own seed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


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
    script: Script,
    arguments: Arguments = None,
    backend: Backends = None,
    seed: Seed = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option("--seeds", metavar="N,M|N..M", help="A grid: every seed on every backend, finished ones skipped."),
    ] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", min=1, metavar="N", help="Train on N devices, which share every batch.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help='Run it as a job of Ray Train: "local", "auto", or host:port.'),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", metavar="N|N..M", help="With --ray: the workers, which share every batch."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what came out as one JSON document; the script's output to stderr.")
    ] = False,
) -> None:
    """Run a script on each backend, one fresh process after the other.

    The output has the backend in front of every line. A failure does not stop the others; the exit code is the
    first that is not zero. Ctrl-C is passed on to the running script, and the rest is not started.

    With --seeds it is a grid, each cell with its own directory: LearnerBuilder("runs/x-{backend}-{seed}"). Run
    again, it resumes what is unfinished and skips what is finished. The script needs no change for it.
    """
    from multilearn.commands.grid import grid
    from multilearn.commands.grid.plan import GridPlan
    from multilearn.launch.ray_job import RayCluster

    if seeds and arguments and "--" not in sys.argv:
        raise ConfigurationError(
            "The script's own arguments come after a --.",
            received=" ".join(arguments),
            remedy="Seeds are separated by commas: --seeds 1,2,3.",
        )
    cluster = RayCluster.checked(ray, workers, devices, seeds or ())
    plan = GridPlan.checked(script, arguments or (), backend or (), seed, seeds or (), devices, cluster)
    outcome = grid.run(plan, sys.stderr.buffer if as_json else None)
    if as_json:
        print(outcome.as_json())
    elif outcome.grid or len(outcome.ended) > 1:
        print(outcome.as_text())
    raise typer.Exit(outcome.code)


@app.command()
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
    """Compare runs epoch by epoch; exit 0 where they are the same within the tolerance, else 1.

    Where a backend has several seeds, the runs of each seed are compared with each other, and what they came to over
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
    print(document(content) if as_json else blocks.as_markdown(parts) if as_markdown else blocks.as_text(parts))
    raise typer.Exit(0 if result.same else 1)


@app.command()
def diff_step(
    script: Script,
    arguments: Arguments = None,
    backend: Backends = None,
    tolerance: Annotated[float, typer.Option(metavar="T", help="Relative to the largest value at each place.")] = 1e-4,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Walk the first batch through a script's model on two backends, and name what differs first.

    The script runs up to its first fit, and writes nothing. Exit 0 where every layer's output, every gradient and the
    update agree, else 1.
    """
    from multilearn.commands.diff_step import report as steps_report
    from multilearn.commands.diff_step import steps

    compared = steps.diff_step(script, backend or (), arguments or (), tolerance, seed)
    print(steps_report.as_json(compared) if as_json else steps_report.as_text(compared))
    raise typer.Exit(0 if all(each.same for each in compared) else 1)


@app.command()
def inspect(
    path: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", help="A run's directory, or a record (.mpk.gz, .mpk, .safetensors)."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a run or a record holds; exit 1 where something is not intact."""
    from multilearn.commands import inspect as inspection

    found = inspection.inspect(path)
    print(found.as_json() if as_json else found.as_text())
    raise typer.Exit(0 if found.intact else 1)


@app.command()
def backends(as_json: AsJson = False) -> None:
    """Show what is installed, on which devices it runs, and which backend would be used."""
    from multilearn.commands import backends as installation

    found = installation.look()
    print(found.as_json() if as_json else found.as_text())


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
