"""A chart: lines on common axes, what the axes span, and where their ticks are. How it is drawn is in other modules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from multilearn.plots.ticks import labels, log_ticks, ticks

__all__ = ["COLOURS", "PALETTE", "Chart", "Line", "drawable", "levels", "x_span", "y_span"]

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c3e", "#000000")
"""On white paper: of Okabe and Ito, for people who see colours differently, too. A page gives each class its own."""
COLOURS = len(PALETTE)

_LETTERS = 44
_AIR = 0.05
_LEAST, _MOST = 1e-300, 1e300  # of an axis


@dataclass(frozen=True)
class Line:
    """A curve; `x` ascends. `band`: the least and the greatest y around each x, drawn as an area behind all lines."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dashed: bool = False
    thin: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None
    marks: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines on common axes. `unit` is that of a metric; `description` is for those who do not see it.

    `gate`: a level and its name, everything above it shaded. `floor`: where the axis begins; what is below it, or
    infinite, is drawn at the edge. `span`: of the x axis, by default that of the lines.
    """

    title: str
    lines: Sequence[Line]
    unit: str = ""
    log: bool = False
    description: str = ""
    x_name: str = "epoch"
    gate: tuple[float, str] | None = None
    floor: float | None = None
    span: tuple[float, float] | None = None

    @property
    def head(self) -> str:
        """The title as far as there is room for it."""
        long = len(self.title) > _LETTERS
        return f"{self.title[: _LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}" if long else self.title


def drawable(chart: Chart, value: float) -> bool:
    """Whether a value has a place on the y axis."""
    if chart.floor is not None:
        return not math.isnan(value)
    return math.isfinite(value) and (value > 0 or not chart.log)


def x_span(chart: Chart) -> tuple[float, float] | None:
    """What the x axis spans; None if there is no point."""
    values = [x for line in chart.lines if len(line.x) for x in (line.x[0], line.x[-1])]
    if chart.span is not None:
        return chart.span
    if not values:
        return None
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def y_span(chart: Chart) -> tuple[float, float] | None:
    """What the y axis spans: the finite values, with some air; None if nothing can be drawn."""
    found = (y for line in chart.lines for part in (line.y, *(line.band or ())) for y in part)
    values = [float(y) for y in found if drawable(chart, y) and math.isfinite(y)]
    if chart.gate is not None:
        values += [chart.gate[0] / 3, chart.gate[0] * 3]
    if not values:
        return None
    low, high = min(values) if chart.floor is None else chart.floor, max(values)
    if chart.log:
        low, high = (min(max(bound, _LEAST), _MOST) for bound in (low, high))
        air = max(math.exp(_AIR * (math.log(high) - math.log(low))), 1.05)
        return max(low / air, _LEAST) if chart.floor is None else low, min(high * air, 10 * _MOST)
    low, high = (min(max(bound, -_MOST), _MOST) for bound in (low, high))
    spread, size = high - low, abs(high)
    air = _AIR * (spread if spread > _LEAST else size if size > _LEAST else 1.0)
    return low - air, high + air


def levels(chart: Chart, low: float, high: float) -> list[tuple[float, str]]:
    """The ticks of the y axis, and what is written at them."""
    found = log_ticks(low, high, 7) if chart.log else ticks(low, high, 6)
    return list(zip(found, labels(found, chart.unit, log=chart.log), strict=True))
