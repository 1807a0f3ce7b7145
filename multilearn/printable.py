"""Text on its way to a terminal, a log or an error message: names, contents of files, moments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

__all__ = ["aligned", "now", "plural", "printable", "printable_message"]

_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f"  # C0 and C1: among them ESC, CSI, BEL, CR
    "\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200c\\u200e\\u200f"  # invisible, or of direction
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb"
    "\\ud800-\\udfff"  # halves of surrogate pairs, as names of files have them that are not UTF-8
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]"
    # joins emoji to one, and is invisible elsewhere
    "|(?<![\\ufe0f\\u2600-\\u27bf\\U0001f000-\\U0001faff])\\u200d"
    "|\\u200d(?![\\u2600-\\u27bf\\U0001f000-\\U0001faff])"
)
_BREAK = re.compile("\n(?=  )")
_LONGEST = 1000


def printable(text: str) -> str:
    """One line that shows all there is in `text`, and does nothing to a terminal: what would is escaped as in Python.

    Control characters, line breaks, and whatever is invisible or turns the direction of what follows. Letters of all
    scripts and emoji stay as they are.

    >>> printable("a\\x1b[2J\\nb\\u202e")
    'a\\\\x1b[2J\\\\x0ab\\\\u202e'
    """
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_escape, text)


def printable_message(text: str) -> str:
    """The same for the message of an error: it may have further lines, which are indented by two spaces at least.

    A line break that is not followed by them was in a name: it could pass for the beginning of another message.
    """
    return "\n".join(map(printable, _BREAK.split(text)))


def plural(count: int, noun: str, ending: str = "s") -> str:
    """`"1 epoch"`, `"2 epochs"`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{ending}"


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> list[str]:
    """A line per row; columns two spaces apart, those whose index is in `right` flush right.

    What is in a cell may come from any file: it is made `printable`, and cut after 1000 characters.

    >>> aligned([["", "exit"], ["torch", "0"]], right=(1,))
    ['       exit', 'torch     0']
    """
    cells = [[_shortened(printable(text[: _LONGEST + 1])) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        columns = enumerate(zip(row, widths, strict=True))
        padded = (text.rjust(width) if at in right else text.ljust(width) for at, (text, width) in columns)
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def now() -> str:
    """This moment in UTC, as it is written everywhere: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
