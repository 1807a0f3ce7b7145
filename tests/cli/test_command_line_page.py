"""docs/command_line.md against the commands: `python tools/command_line.py` writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from multilearn.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"
SECTIONS = {
    name: " ".join(content.split())
    for name, content in re.findall(
        r"^## multilearn (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_page_has_the_commands_in_the_order_of_help() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_says_what_the_help_of_the_command_says(name: str) -> None:
    command, section = COMMANDS[name], SECTIONS[name]
    said = [command.help, *(parameter.help for parameter in command.params)]
    assert [text for text in said if text and " ".join(text.split()) not in section] == []
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    listed = re.findall(r"(?:^|\s)(?:-\w, )?(--[\w-]+)(?= )", section.partition(" Options: ")[2])
    assert set(listed) == options | {"--help"}
