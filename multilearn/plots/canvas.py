"""Curves in braille, as lines of styled text: a cell of a terminal has 2 x 4 dots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.segment import Segment
from rich.style import Style

from multilearn.plots.series import Floats
from multilearn.plots.ticks import labels, log_ticks, ticks

__all__ = ["Axes", "Curve", "Line", "draw", "fitted", "limits"]

Line = list[Segment]

# the bit of each dot in U+2800..U+28FF, by row and column of the cell
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)
_BRAILLE, _SPACE, _MARK, _ACROSS, _UP = 0x2800, *map(ord, " ●┈┊")
_AIR = 0.03  # of what the values span, above and below them
_HUGE = 1e307  # so that the difference of two is a number
_APART = 3  # cells from one mark to the next, at least


@dataclass(frozen=True)
class Curve:
    """x ascending. `band`: the least and the greatest y about each x, an area behind all lines. A point whose y is not
    finite is a gap. `marks`: each point has a dot on the line, if there is room."""

    x: Floats
    y: Floats
    style: Style
    band: tuple[Floats, Floats] | None = None
    band_style: Style | None = None
    marks: bool = False


@dataclass(frozen=True)
class Axes:
    """What lies between the ends of both axes is drawn. `x_ticks`: where, and what is written there; `x_name`: what x
    is, at the right end if there is room."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False
    unit: str = ""
    x_ticks: Sequence[tuple[float, str]] = ()
    x_name: str = ""
    style: Style | None = None
    grid: Style | None = None


def limits(curves: Sequence[Curve], log: bool = False, unit: str = "") -> tuple[float, float]:
    """What the finite values span, on a log axis the positive ones, with a little air; a share stays one."""
    parts = [part for curve in curves for part in (curve.y, *(curve.band or ()))]
    values = np.concatenate(parts) if parts else np.empty(0)
    values = np.clip(values[np.isfinite(values)], -_HUGE, _HUGE)
    if log:
        values = np.log10(values[values > 0])
    if not len(values):
        return (0.1, 1.0) if log else (0.0, 1.0)
    least, greatest = float(values.min()), float(values.max())
    air = _AIR * ((greatest - least) or abs(greatest) or 1.0)
    low, high = least - air, greatest + air
    if log:
        return float(10.0 ** max(low, -307.0)), float(10.0 ** min(high, 307.0))
    if unit == "share" and least >= 0 and greatest <= 1:
        low, high = max(low, 0.0), min(high, 1.0)
    return low, high


def draw(curves: Sequence[Curve], axes: Axes, width: int, height: int, label_width: int = 0) -> list[Line]:
    """The curves, later ones above, with both axes: `height` lines of `width` cells, whatever there is to draw.

    `label_width`: the least room for what is written at the left, so that charts below each other have one edge.
    """
    inner = max(1, height - 2)
    at = (log_ticks if axes.log else ticks)(*axes.y, max(2, inner // 3 + 1))
    names = labels(at, axes.unit, log=axes.log)
    left = max(label_width, *map(len, names), 0)
    if left + 4 > width // 2:
        left, names = 0, [""] * len(names)
    canvas = _Canvas(max(1, width - left - 2), inner, axes)
    rows = {row: name for value, name in zip(at, names, strict=True) if (row := canvas.cell_row(value)) is not None}
    columns = {column: text for x, text in axes.x_ticks if (column := canvas.cell_column(x)) is not None}
    canvas.rule(rows, columns)
    for curve in curves:
        if curve.band is not None:
            canvas.band(curve)
    for curve in curves:
        canvas.line(curve)
    for curve in curves:
        if curve.marks and len(curve.x) * _APART <= canvas.width:
            canvas.mark(curve)
    lines = [
        [Segment(f"{rows.get(row, ''):>{left}} {'┤' if rows.get(row) else '│'}", axes.style), *cells]
        for row, cells in enumerate(canvas.lines())
    ]
    lines += _foot(left, canvas.width, columns, axes)
    lines = (lines + [[]] * height)[:height]
    return lines if left + 2 + canvas.width == width and height > 2 else [fitted(line, width) for line in lines]


def fitted(line: Line, width: int) -> Line:
    """Cut or filled up at the right, so that it is `width` cells wide."""
    length = sum(segment.cell_length for segment in line)
    if length > width:
        return Segment.adjust_line_length(line, width)
    return [*line, Segment(" " * (width - length))] if length < width else line


def _foot(left: int, width: int, columns: dict[int, str], axes: Axes) -> list[Line]:
    """The axis of x, and what is written below it: each text where it has room, centred below its tick."""
    rule, below = ["─"] * width, [" "] * width
    free, end = 0, width
    if axes.x_name and len(axes.x_name) <= width // 4:
        end = width - len(axes.x_name) - 1
        below[end + 1 :] = axes.x_name
    for column, text in sorted(columns.items()):
        start = min(max(free, column - len(text) // 2), end - len(text))
        if start >= free and abs(start + len(text) // 2 - column) <= 1:
            rule[column] = "┬"
            below[start : start + len(text)] = text
            free = start + len(text) + 2
    margin = " " * (left + 1)
    return [[Segment(f"{margin}└{''.join(rule)}", axes.style)], [Segment(f"{margin} {''.join(below)}", axes.style)]]


class _Canvas:
    """`width` x `height` cells; what is drawn later lies above, and owns its cells: two colours in one would lie."""

    def __init__(self, width: int, height: int, axes: Axes) -> None:
        self.width, self.height, self.axes = width, height, axes
        self._codes = np.full((height, width), _SPACE, dtype=np.uint32)
        self._owner = np.zeros((height, width), dtype=np.int16)
        self._styles: list[Style | None] = [None]

    def rule(self, rows: Iterable[int], columns: Iterable[int]) -> None:
        """A faint line at each tick. What is empty has their style, so that it takes few segments."""
        for column in columns:
            self._codes[:, column] = _UP
        for row in rows:
            self._codes[row] = _ACROSS
        self._own(np.ones((self.height, self.width), dtype=bool), self.axes.grid)

    def band(self, curve: Curve) -> None:
        """Every second dot from the least to the greatest y; what lies between two points too."""
        assert curve.band is not None
        least, greatest = self._extent(curve.x, *curve.band)
        at = np.arange(2 * self.width)
        good = np.isfinite(least)
        if good.sum() > 1:
            inside = (at >= at[good][0]) & (at <= at[good][-1])
            least, greatest = (
                np.where(inside, np.interp(at, at[good], part[good]), np.nan) for part in (least, greatest)
            )
        self._fill(self._dots(greatest), self._dots(least), curve.band_style or curve.style, sparse=True)

    def line(self, curve: Curve) -> None:
        """In each column of dots, from the highest to the lowest place that the line passes there."""
        y = np.where(np.isfinite(curve.y), curve.y, np.nan)
        if not len(y):
            return
        edges = self._dots(np.interp(np.linspace(*self.axes.x, 2 * self.width + 1), curve.x, y, np.nan, np.nan))
        least, greatest = self._extent(curve.x, y, y)
        passed = np.stack([edges[:-1], edges[1:], self._dots(greatest), self._dots(least)])
        none = np.isnan(passed).all(axis=0)
        top = np.where(np.isnan(passed), np.inf, passed).min(axis=0)
        bottom = np.where(np.isnan(passed), -np.inf, passed).max(axis=0)
        with np.errstate(invalid="ignore"):
            middle = np.round((top + bottom) / 2)
            steep = bottom - top > 1
        top, bottom = np.where(steep, top + 0.5, middle), np.where(steep, bottom - 0.5, middle)
        top[none] = bottom[none] = np.nan
        self._fill(top, bottom, curve.style)

    def mark(self, curve: Curve) -> None:
        self._styles.append(curve.style)
        for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
            row, column = self.cell_row(y), self.cell_column(x)
            if row is not None and column is not None:
                self._codes[row, column], self._owner[row, column] = _MARK, len(self._styles) - 1

    def cell_row(self, y: float) -> int | None:
        row = float(self._dots(np.array([y]))[0])
        return min(max(round(row), 0), 4 * self.height - 1) // 4 if -1 < row < 4 * self.height else None

    def cell_column(self, x: float) -> int | None:
        low, high = self.axes.x
        place = (x - low) / ((high - low) or 1.0) * self.width
        return min(int(place), self.width - 1) if 0 <= place <= self.width else None

    def lines(self) -> list[Line]:
        """One segment for each stretch of cells with one owner."""
        lines = []
        for codes, owner in zip(self._codes, self._owner, strict=True):
            text = codes.tobytes().decode("utf-32")
            starts = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist()]
            styles, ends = (self._styles[style] for style in owner[starts].tolist()), [*starts[1:], len(text)]
            lines.append(list(map(Segment, (text[start:end] for start, end in zip(starts, ends, strict=True)), styles)))
        return lines

    def _dots(self, y: Floats) -> Floats:
        """The row of dots from above, NaN if there is none."""
        low, high = self.axes.y
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.axes.log:
                y, low, high = np.log10(np.where(y > 0, y, np.nan)), math.log10(low), math.log10(high)
            found: Floats = (high - y) / ((high - low) or 1.0) * (4 * self.height - 1)
        return np.where(np.isfinite(found), found, np.nan)

    def _extent(self, x: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """For each column of dots the least `low` and the greatest `high` of the points in it; NaN if none is."""
        count = 2 * self.width
        first, last = self.axes.x
        place = np.floor((x - first) / ((last - first) or 1.0) * count)
        inside = (place >= 0) & (place <= count) & np.isfinite(low) & np.isfinite(high)
        least, greatest = np.full(count, np.nan), np.full(count, np.nan)
        at = np.minimum(place[inside].astype(np.int64), count - 1)
        if len(at):
            starts = np.flatnonzero(np.r_[True, np.diff(at) > 0])
            least[at[starts]] = np.minimum.reduceat(low[inside], starts)
            greatest[at[starts]] = np.maximum.reduceat(high[inside], starts)
        return least, greatest

    def _fill(self, top: Floats, bottom: Floats, style: Style, sparse: bool = False) -> None:
        """Dots from `top` to `bottom` in each column, cut at the edges; none where that is NaN, or all outside."""
        end = 4 * self.height - 1
        with np.errstate(invalid="ignore"):
            seen = (np.round(top) <= end) & (np.round(bottom) >= 0)
        top, bottom = np.clip(np.where(seen, top, 0), 0, end), np.clip(np.where(seen, bottom, 0), 0, end)
        rows: npt.NDArray[np.int64] = np.arange(end + 1)[:, None]
        on = (rows >= np.round(top)) & (rows <= np.round(bottom)) & seen
        if sparse:
            on &= (rows + np.arange(2 * self.width)) % 2 == 0
        dots = on.reshape(self.height, 4, self.width, 2)
        cells: npt.NDArray[np.bool_] = np.any(dots, axis=(1, 3))
        codes = _BRAILLE + (dots * _BITS[None, :, None, :]).sum(axis=(1, 3))
        self._codes[cells] = codes[cells]
        self._own(cells, style)

    def _own(self, cells: npt.NDArray[np.bool_], style: Style | None) -> None:
        self._styles.append(style)
        self._owner[cells] = len(self._styles) - 1
