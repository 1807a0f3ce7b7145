"""A matrix of counts as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from multilearn.plots.markup import Markup, element, joined

__all__ = ["heat_map"]

_ROWS = 32
_NUMBERED = 20  # rows of a matrix with its numbers in it
_SHADES, _DARK = 10, 8


def heat_map(counts: np.ndarray[Any, Any], names: Sequence[str], title: str, description: str = "") -> Markup:
    """A matrix of counts, (classes, classes): a row for each target, the shade of a cell its part of the row.

    The diagonal has a colour of its own; of errors small parts are seen, too. Of many classes several are one row.
    """
    table = _pooled(counts)
    rows, cell = len(table), 26 if len(table) <= 12 else 18
    largest = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shades = np.ceil(_SHADES * np.minimum(table / largest * np.where(np.eye(rows, dtype=bool), 1, 4), 1)).astype(int)
    cells: dict[tuple[str, int], list[str]] = {}
    for (row, column), shade in np.ndenumerate(shades):
        kind = ("hit" if row == column else "miss") if shade else "zero"
        place = f"M{column * cell} {row * cell}h{cell - 1}v{cell - 1}h{1 - cell}z"
        cells.setdefault((kind, int(shade)), []).append(place)
    drawn = [
        element("path", class_=kind, fill_opacity=0.06 + 0.94 * shade / _SHADES if shade else None, d="".join(places))
        for (kind, shade), places in sorted(cells.items())
    ]
    size = rows * cell
    inside = (*drawn, *(_counts(table, shades, cell) if rows <= _NUMBERED else ()))
    labels = _labels(names, cell) if len(counts) <= _ROWS else ()
    foot = element("text", "prediction \N{RIGHTWARDS ARROW}, target \N{DOWNWARDS ARROW}", class_="tick", y=size + 15)
    box: dict[str, Any] = {"viewBox": f"-70 -22 {size + 90} {size + 42}", "width": size + 90, "height": size + 42}
    head = joined(element("title", title), element("desc", description))
    return element("svg", head, *inside, *labels, foot, class_="matrix", role="img", **box)


def _pooled(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """At most so many rows and columns that all of them are seen."""
    if len(counts) <= _ROWS:
        return counts
    edges = np.arange(_ROWS) * len(counts) // _ROWS
    return np.add.reduceat(np.add.reduceat(counts, edges, axis=0), edges, axis=1)


def _counts(table: np.ndarray[Any, Any], shades: np.ndarray[Any, Any], cell: int) -> Iterator[Markup]:
    for (row, column), count in np.ndenumerate(table):
        if count:
            dark = shades[row, column] > _DARK
            x, y = column * cell + (cell - 1) / 2, row * cell + cell / 2 + 3.5
            yield element("text", f"{count}", class_="count on" if dark else "count", x=x, y=y, text_anchor="middle")


def _labels(names: Sequence[str], cell: int) -> Iterator[Markup]:
    for at, name in enumerate(names):
        middle = at * cell + cell / 2
        short = name if len(name) <= 9 else f"{name[:8]}\N{HORIZONTAL ELLIPSIS}"
        yield element("text", short, class_="tick", x=-6, y=middle + 3.5, text_anchor="end")
        if max(map(len, names)) <= 3:
            yield element("text", name, class_="tick", x=middle, y=-6, text_anchor="middle")
