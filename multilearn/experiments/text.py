"""Plain text and JSON: aligned whether read on a terminal or piped, never wrapped, no colours, no NaN literals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from multilearn.printable import printable

__all__ = ["aligned", "document", "plural", "size"]

_LONGEST = 1000


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> list[str]:
    """A line per row; columns two spaces apart, those whose index is in `right` flush right.

    What is in a cell may come from any file: it is made `printable`, and shortened to what somebody may want to read.
    """
    shown = [[_shortened(printable(text[: _LONGEST + 1])) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = zip(row, widths, strict=True)
        padded = (text.rjust(width) if at in right else text.ljust(width) for at, (text, width) in enumerate(cells))
        lines.append((indent + "  ".join(padded)).rstrip())
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def plural(count: int, noun: str) -> str:
    """`"1 epoch"`, `"2 epochs"`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
    """One JSON document, in ASCII. Floats that JSON has no word for are the strings `"NaN"`, `"inf"` and `"-inf"`."""
    return json.dumps(_strict(content), indent=2, allow_nan=False)


def _strict(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _strict(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_strict(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else str(content)
    return content
