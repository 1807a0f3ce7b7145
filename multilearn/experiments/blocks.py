"""What a report is made of, tables and sentences, as plain text and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from multilearn.experiments.text import aligned
from multilearn.printable import printable

__all__ = ["Block", "Sentences", "Table", "as_markdown", "as_text"]


@dataclass(frozen=True)
class Table:
    """The first row has the heads; columns whose index is in `right` are flush right."""

    title: str
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()


@dataclass(frozen=True)
class Sentences:
    """One a line; each said on its own."""

    lines: Sequence[str]
    title: str = ""


Block = Table | Sentences

_MARKS = re.compile(r"[\\`*_\[\]<|~&!#$@]|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""What Markdown would read as something else than itself."""


def as_text(blocks: Sequence[Block]) -> str:
    """With an empty line between the blocks; one without content is left out."""
    told = []
    for block in blocks:
        lines = aligned(block.rows, right=block.right) if isinstance(block, Table) else [*map(printable, block.lines)]
        if lines:
            told.append("\n".join([*filter(None, [printable(block.title)]), *lines]))
    return "\n\n".join(told)


def as_markdown(blocks: Sequence[Block]) -> str:
    """The same as GitHub's Markdown; the last sentence, the verdict, in bold."""
    told = []
    for block in blocks:
        title = [f"### {_escaped(block.title)}", ""] if block.title else []
        if isinstance(block, Table):
            told.append("\n".join([*title, *_piped(block)]))
        elif block.lines:
            told.append("\n".join([*title, *(f"- {_escaped(line)}" for line in block.lines)]))
    text = "\n\n".join(told)
    rest, _, last = text.rpartition("\n- ")
    return f"{rest}\n\n**{last}**" if rest else text


def _piped(table: Table) -> list[str]:
    head, *rows = [[_escaped(cell) for cell in row] for row in table.rows]
    ruler = ["---:" if at in table.right else "---" for at in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, ruler, *rows)]


def _escaped(text: str) -> str:
    """Shown as it is: no emphasis, link, image, HTML or formula, no further cell, no link made of a bare address."""
    return _MARKS.sub(r"\\\g<0>", printable(text))
