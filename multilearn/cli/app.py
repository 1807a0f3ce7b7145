"""The application that the commands register themselves with, and the options of more than one command."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from multilearn.errors import DISTRIBUTION

__all__ = ["Arguments", "AsJson", "Backends", "Script", "Seed", "app"]

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


def _print_version(asked: bool) -> None:
    if asked:
        try:
            print(f"multilearn {version(DISTRIBUTION)}")
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
