"""Writes docs/command_line.md: what `--help` of each command says. Run it when a command has changed."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from multilearn.cli import app

PAGE = Path(__file__).parents[1] / "docs" / "command_line.md"

INTRODUCTION = """\
# The command line

What reads runs imports no framework. A command exits with 0 for success, with 1 for the answer "no" (`compare`: the
runs differ; `stop`: the run has not ended yet), and with 2 for what cannot be used, such as a mistyped option or a
directory that holds no run; `run` with the exit code of the first script that failed. The
[overview](../README.md#the-command-line) has an example of each command.
"""


def page() -> str:
    """The page, from the commands as they are."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    shown = [f"## multilearn {name}\n\n```text\n{_help(name)}\n```\n" for name in commands]
    return "\n".join([INTRODUCTION, *shown])


def _help(command: str) -> str:
    done = CliRunner().invoke(app, [command, "--help"], prog_name="multilearn", terminal_width=90)
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
