"""A matrix of counts, drawn for people."""

from __future__ import annotations

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.metrics.confusion_matrix import DENSE, Matrix, parsed
from multilearn.printable import aligned
from multilearn.renderers.notation import shown

__all__ = ["drawn"]

_LARGEST = 5


def drawn(text: str) -> list[str]:
    """The lines of a table for the value of a `ConfusionMatrix`: a row for each class that is, a column for each that
    was found; of many classes, a digest. What an earlier version wrote stays the text that it is.

    >>> for line in drawn('{"classes": ["cat", "dog"], "counts": [[5, 1], [0, 4]]}'):
    ...     print(line)
         cat  dog
    cat    5    1
    dog    0    4
    """
    try:
        matrix, names = parsed(text)
    except ConfigurationError:
        return [shown(text)]
    if len(matrix) > DENSE:
        return _digest(matrix)
    heads = names or tuple(map(str, range(len(matrix))))
    rows = ([head, *map(str, row)] for head, row in zip(heads, matrix.tolist(), strict=True))
    return aligned([["", *heads], *rows], right=range(1, len(heads) + 1))


def _digest(matrix: Matrix) -> list[str]:
    wrong = matrix - np.diag(np.diag(matrix))
    lines = [f"{len(matrix)} classes, {matrix.sum()} items, {wrong.sum()} taken for another class, most often:"]
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:_LARGEST]:
        row, column = divmod(int(cell), len(matrix))
        if wrong[row, column]:
            lines.append(f"  {row} for {column}: {wrong[row, column]}")
    return lines
