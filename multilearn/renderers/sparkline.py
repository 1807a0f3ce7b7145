"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["BLOCKS", "sparkline"]

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """One character for each value, from the lowest block for the least to the highest for the greatest.

    At most `width` characters: more values are averaged in groups. NaN is a space, infinities are the outermost
    blocks and leave the scale alone, a series without spread is drawn at half height.

    >>> sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8), sparkline([1, 1], 8)
    ('▁▂▃▄▅▆▇█', '▄▄')
    """
    points = _grouped(values, width)
    finite = [value for value in points if math.isfinite(value)]
    lowest, highest = (min(finite), max(finite)) if finite else (0.0, 0.0)
    spread = highest / 2 - lowest / 2  # halves: the difference of two huge values would overflow
    middle = BLOCKS[(len(BLOCKS) - 1) // 2]

    def block(value: float) -> str:
        if math.isnan(value):
            return " "
        if math.isinf(value):
            return BLOCKS[-1] if value > 0 else BLOCKS[0]
        if spread == 0:
            return middle
        return BLOCKS[min(len(BLOCKS) - 1, int((value / 2 - lowest / 2) / spread * len(BLOCKS)))]

    return "".join(map(block, points))


def _grouped(values: Sequence[float], width: int) -> list[float]:
    count = len(values)
    if count <= width:
        return list(values)
    return [_mean(values[i * count // width : (i + 1) * count // width]) for i in range(width)]


def _mean(group: Sequence[float]) -> float:
    """The mean of the finite ones; an infinity, or NaN, only where there is none."""
    finite = [value for value in group if math.isfinite(value)]
    if finite:
        return sum(value / len(finite) for value in finite)
    return next((value for value in group if not math.isnan(value)), math.nan)
