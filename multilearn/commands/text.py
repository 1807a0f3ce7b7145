"""Plain text and JSON: aligned whether read on a terminal or piped, never wrapped, no colours, no NaN literals."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from multilearn.printable import aligned, printable

__all__ = ["Block", "Sentences", "TextTable", "as_markdown", "as_text", "document", "size"]


def size(count: int) -> str:
    """A number of bytes, in powers of 1000.

    >>> size(999), size(1_234_567)
    ('999 B', '1.2 MB')
    """
    if count < 1000:
        return f"{count} B"
    exponent = min((len(str(count)) - 1) // 3, 4)
    return f"{count / 1000**exponent:.1f} {'kMGT'[exponent - 1]}B"


def document(content: Mapping[str, Any]) -> str:
    """One JSON document, in ASCII. What JSON has no word for is its text: paths, `"NaN"`, `"inf"`."""
    return json.dumps(_strict(content), indent=2, allow_nan=False)


def _strict(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _strict(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_strict(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else str(content)
    return content if isinstance(content, (str, int, float, NoneType)) else str(content)


@dataclass(frozen=True)
class TextTable:
    """The first row has the heads; columns whose index is in `right` are flush right. `keys`: how many columns say
    what a row is of; they are in every part of a table that is too wide."""

    title: str
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    keys: int = 1


@dataclass(frozen=True)
class Sentences:
    """One a line; each said on its own."""

    lines: Sequence[str]
    title: str = ""


Block = TextTable | Sentences

_MARKS = re.compile(r"[\\`*_\[\]<|~&!#$@]|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""What Markdown would read as something else than itself."""


def as_text(blocks: Sequence[Block], width: int | None = None) -> str:
    """With an empty line between the blocks; one without content is left out.

    `width`: what is wider is divided, sentences into lines, tables into parts with some of the columns each. A cell or
    a word that alone is wider stays whole.
    """
    parts = []
    for block in blocks:
        for lines in _divided(block, width):
            if lines:
                parts.append("\n".join([*filter(None, [printable(block.title)]), *lines]))
    return "\n\n".join(parts)


def _divided(block: Block, width: int | None) -> Iterator[list[str]]:
    """The lines of each part."""
    if isinstance(block, Sentences):
        lines = [printable(line) for line in block.lines]
        yield lines if width is None else [part for line in lines for part in _wrapped(line, width)]
        return
    keys, columns = range(block.keys), list(range(len(block.rows[0])))
    while columns:
        some = len(columns)
        while width is not None and some > block.keys + 1 and _width(block, columns[:some]) > width:
            some -= 1
        yield _lines(block, columns[:some])
        rest = columns[some:]
        columns = [*keys, *rest] if rest else []


def _lines(table: TextTable, columns: Sequence[int]) -> list[str]:
    rows = [[row[column] for column in columns] for row in table.rows]
    return aligned(rows, right=[at for at, column in enumerate(columns) if column in table.right])


def _width(table: TextTable, columns: Sequence[int]) -> int:
    return max(map(len, _lines(table, columns)))


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def as_markdown(blocks: Sequence[Block]) -> str:
    """The same as GitHub's Markdown; the last sentence, the verdict, in bold."""
    parts = []
    for block in blocks:
        title = [f"### {_escaped(block.title)}", ""] if block.title else []
        if isinstance(block, TextTable):
            head, *rows = [[_escaped(cell) for cell in row] for row in block.rows]
            ruler = ["---:" if at in block.right else "---" for at in range(len(head))]
            parts.append("\n".join([*title, *(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))]))
        elif block.lines:
            parts.append("\n".join([*title, *(f"- {_escaped(line)}" for line in block.lines)]))
    text = "\n\n".join(parts)
    rest, _, last = text.rpartition("\n- ")
    return f"{rest}\n\n**{last}**" if rest else text


def _escaped(text: str) -> str:
    """Shown as it is: no emphasis, link, image, HTML or formula, no further cell, no link made of a bare address."""
    return _MARKS.sub(r"\\\g<0>", printable(text))
