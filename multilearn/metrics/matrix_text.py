"""A matrix of counts as one line of text, and as a table for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from multilearn.errors import ConfigurationError

__all__ = ["DENSE", "Matrix", "parse", "table", "write", "write_cells"]

Matrix = np.ndarray[Any, Any]

DENSE = 32
"""Of more classes than this the text has only the cells that are not zero."""

_LARGEST = 5
_HEAD = re.compile(r"(\d+) classes")
_CELL = re.compile(r"(\d+)>(\d+) (\d+)")


def write(matrix: Matrix, names: Sequence[str] = ()) -> str:
    """One line for counts (classes, classes), of at most `DENSE` classes, rows between semicolons.

    >>> write(np.array([[5, 1], [0, 4]])), write(np.array([[5, 1], [0, 4]]), ["cat", "dog"])
    ('5 1; 0 4', 'cat: 5 1; dog: 0 4')
    """
    rows = [" ".join(map(str, row)) for row in matrix.tolist()]
    return "; ".join([f"{name}: {row}" for name, row in zip(names, rows, strict=True)] if names else rows)


def write_cells(classes: int, cells: Matrix, counts: Matrix) -> str:
    """One line for the cells that are not zero, numbered row by row.

    >>> write_cells(40, np.array([125, 287]), np.array([2, 9]))
    '40 classes; 3>5 2; 7>7 9'
    """
    pairs = zip(cells.tolist(), counts.tolist(), strict=True)
    return "; ".join([f"{classes} classes", *(f"{cell // classes}>{cell % classes} {count}" for cell, count in pairs)])


def parse(text: str) -> tuple[Matrix, tuple[str, ...]]:
    """The counts, (classes, classes), int64, and the names, if any, of what `write` or `write_cells` wrote.

    >>> parse("cat: 5 1; dog: 0 4")[1]
    ('cat', 'dog')
    """
    rows = text.split("; ")
    try:
        if head := _HEAD.fullmatch(rows[0]):
            return _sparse(int(head[1]), rows[1:]), ()
        names = tuple(row.rpartition(": ")[0] for row in rows)
        matrix = np.array([[int(cell) for cell in row.rpartition(": ")[2].split(" ")] for row in rows], np.int64)
        if matrix.shape != (len(rows), len(rows)):
            raise ValueError(f"{matrix.shape[0]} rows of {matrix.shape[1]}")
    except ValueError as fault:
        raise ConfigurationError(
            "A matrix as text has its rows between semicolons, such as '5 1; 0 4'.",
            received=f"{text[:60]!r} ({fault})",
            remedy="Give the value of a ConfusionMatrix.",
        ) from fault
    return matrix, names if any(names) else ()


def table(text: str) -> list[str]:
    """The lines of a table: a row for each class that is, a column for each that was found; of many classes, a digest.

    >>> for line in table("cat: 5 1; dog: 0 4"):
    ...     print(line)
         cat  dog
    cat    5    1
    dog    0    4
    """
    matrix, names = parse(text)
    if len(matrix) > DENSE:
        return _digest(matrix)
    heads = names or tuple(map(str, range(len(matrix))))
    cells = [["", *heads], *([head, *map(str, row)] for head, row in zip(heads, matrix.tolist(), strict=True))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def _sparse(classes: int, cells: Sequence[str]) -> Matrix:
    matrix = np.zeros((classes, classes), np.int64)
    for cell in cells:
        found = _CELL.fullmatch(cell)
        if found is None or not max(int(found[1]), int(found[2])) < classes:
            raise ValueError(f"no cell: {cell!r}")
        matrix[int(found[1]), int(found[2])] = int(found[3])
    return matrix


def _digest(matrix: Matrix) -> list[str]:
    wrong = matrix - np.diag(np.diag(matrix))
    lines = [f"{len(matrix)} classes, {matrix.sum()} items, {wrong.sum()} taken for another class, most often:"]
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:_LARGEST]:
        row, column = divmod(int(cell), len(matrix))
        if wrong[row, column]:
            lines.append(f"  {row} for {column}: {wrong[row, column]}")
    return lines
