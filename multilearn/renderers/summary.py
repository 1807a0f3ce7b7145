"""The text at the end of a run: how every numeric metric went."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from multilearn.events import MetricInfo, Split
from multilearn.history import History
from multilearn.printable import aligned, printable
from multilearn.renderers.matrix import drawn
from multilearn.renderers.notation import shown
from multilearn.renderers.sparkline import BLOCKS, blocks_for, sparkline
from multilearn.renderers.stream import ForgivingStream
from multilearn.storage.location import readable

__all__ = ["print_summary", "summary"]

_CURVE_WIDTH = 20


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
    blocks: str = BLOCKS,
) -> str:
    """The directory, the `epochs` done, why the run stopped (if it was not complete), and a table for each split.

    If they are not the last ones, the epoch whose weights were `restored`; how many batches were `skipped`, if any.

    Each numeric metric has its first value, the lowest and the highest with their epochs (the earliest on ties, never
    NaN), the last one and its curve, drawn with `blocks`. Text metrics have their last value, which is in `texts`;
    a matrix of counts has its own table. No newline at the end.
    """
    done = f"{epochs} done" if reason is None else f"{epochs} done, stopped: {reason}"
    lines = ["summary", f"  directory  {printable(readable(directory))}", f"  epochs     {printable(done)}"]
    if restored is not None:
        lines.append(f"  weights    those of epoch {restored}")
    if skipped:
        lines.append(f"  skipped    {skipped} batch{'es' if skipped != 1 else ''} whose loss was not finite")
    for split in Split:
        rows = [_row(info, history.values(split, info.name), blocks) for info in metrics.get(split, ()) if info.numeric]
        if rows:
            heads = [split.value, "first", "lowest", "highest", "last", ""]
            lines += ["", *aligned([heads, *rows], right=range(1, 5), indent="  ")]
        for info in metrics.get(split, ()):
            if info.name in texts.get(split, {}):
                lines += ["", *_text(split, info, texts[split][info.name])]
    return "\n".join(lines)


def print_summary(
    history: History,
    metrics: Mapping[Split, Sequence[MetricInfo]],
    directory: Path,
    epochs: int,
    reason: str | None,
    *,
    restored: int | None,
    skipped: int,
    texts: Mapping[Split, Mapping[str, str]],
) -> None:
    """The same on standard output, in characters that it has."""
    screen = ForgivingStream(sys.stdout)
    blocks = blocks_for(screen.encoding)
    text = summary(
        history, metrics, directory, epochs, reason, restored=restored, skipped=skipped, texts=texts, blocks=blocks
    )
    screen.write(f"{text}\n")
    screen.flush()


def _text(split: Split, info: MetricInfo, text: str) -> list[str]:
    if info.unit != "matrix":
        return [f"  {split.value}  {printable(info.name)}  {shown(text)}"]
    head = f"  {split.value}  {printable(info.name)}, last epoch: a row for each target, a column for each prediction"
    return [head, *(f"    {line}" for line in drawn(text))]


def _row(info: MetricInfo, values: Mapping[int, float], blocks: str) -> list[str]:
    if not values:
        return [info.name, "-", "-", "-", "-", ""]
    epochs = sorted(values)
    curve = sparkline([values[epoch] for epoch in epochs], _CURVE_WIDTH, blocks)
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
