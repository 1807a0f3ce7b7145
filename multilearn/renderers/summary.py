"""The text at the end of a run: how every numeric metric went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from multilearn.errors import ConfigurationError
from multilearn.events import MetricInfo, Split
from multilearn.history import History
from multilearn.metrics.confusion_matrix import DENSE, Matrix, parsed
from multilearn.printable import aligned, plural, printable
from multilearn.renderers.notation import shown, sparkline
from multilearn.storage.location import readable

__all__ = ["matrix", "summary"]

_CURVE_WIDTH = 20
_MOST_FREQUENT = 5  # mistakes that are shown of a matrix with many classes


def summary(
    history: History,
    metrics: Mapping[Split, Sequence[MetricInfo]],
    directory: Path,
    epochs: int,
    reason: str | None = None,
    *,
    restored: int | None = None,
    skipped: int = 0,
    texts: Mapping[Split, Mapping[str, str]] = MappingProxyType({}),
) -> str:
    """The directory, the `epochs` done, why the run stopped (if it was not complete), and a table for each split.

    If they are not the last ones, the epoch whose weights were `restored`; how many batches were `skipped`, if any.

    Each numeric metric has its first value, the lowest and the highest with their epochs (the earliest on ties, never
    NaN), the last one and its curve. Text metrics have their last value, which is in `texts`;
    a matrix of counts has its own table. No newline at the end.
    """
    done = f"{epochs} done" if reason is None else f"{epochs} done, stopped: {reason}"
    lines = ["summary", f"  directory  {printable(readable(directory))}", f"  epochs     {printable(done)}"]
    if restored is not None:
        lines.append(f"  weights    those of epoch {restored}")
    if skipped:
        lines.append(f"  skipped    {plural(skipped, 'batch', 'es')} whose loss was not finite")
    for split in Split:
        rows = [_row(info, history.values(split, info.name)) for info in metrics.get(split, ()) if info.numeric]
        if rows:
            heads = [split.value, "first", "lowest", "highest", "last", ""]
            lines += ["", *aligned([heads, *rows], right=range(1, 5), indent="  ")]
        for info in metrics.get(split, ()):
            if info.name in texts.get(split, {}):
                lines += ["", *_text(split, info, texts[split][info.name])]
    return "\n".join(lines)


def _text(split: Split, info: MetricInfo, text: str) -> list[str]:
    if info.unit != "matrix":
        return [f"  {split.value}  {printable(info.name)}  {shown(text)}"]
    head = f"  {split.value}  {printable(info.name)}, last epoch: a row for each target, a column for each prediction"
    return [head, *(f"    {line}" for line in matrix(text))]


def _row(info: MetricInfo, values: Mapping[int, float]) -> list[str]:
    if not values:
        return [info.name, "-", "-", "-", "-", ""]
    epochs = sorted(values)
    curve = sparkline([values[epoch] for epoch in epochs], _CURVE_WIDTH)
    numbers = [epoch for epoch in epochs if not math.isnan(values[epoch])]
    lowest, highest = (
        _at(info, values, pick(numbers, key=values.__getitem__)) if numbers else "NaN" for pick in (min, max)
    )
    return [
        info.name,
        shown(values[epochs[0]], info.unit),
        lowest,
        highest,
        shown(values[epochs[-1]], info.unit),
        curve,
    ]


def _at(info: MetricInfo, values: Mapping[int, float], epoch: int) -> str:
    return f"{shown(values[epoch], info.unit)} @ {epoch}"


def matrix(text: str) -> list[str]:
    """The lines of a table for the value of a `ConfusionMatrix`: a row for each class that is, a column for each that
    was found; of many classes, a digest. What an earlier version wrote stays the text that it is.

    >>> for line in matrix('{"classes": ["cat", "dog"], "counts": [[5, 1], [0, 4]]}'):
    ...     print(line)
         cat  dog
    cat    5    1
    dog    0    4
    """
    try:
        counts, names = parsed(text)
    except ConfigurationError:
        return [shown(text)]
    if len(counts) > DENSE:
        return _digest(counts)
    heads = names or tuple(map(str, range(len(counts))))
    rows = ([head, *map(str, row)] for head, row in zip(heads, counts.tolist(), strict=True))
    return aligned([["", *heads], *rows], right=range(1, len(heads) + 1))


def _digest(counts: Matrix) -> list[str]:
    wrong = counts - np.diag(np.diag(counts))
    lines = [f"{len(counts)} classes, {counts.sum()} items, {wrong.sum()} taken for another class, most often:"]
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:_MOST_FREQUENT]:
        row, column = divmod(int(cell), len(counts))
        if wrong[row, column]:
            lines.append(f"  {row} for {column}: {wrong[row, column]}")
    return lines
