"""Charts as SVG: no library, no script, equal text for equal values. Colours are classes: `c0`, `c1`, ..."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from multilearn.plots.chart import Chart, Line, drawable, levels, x_span, y_span
from multilearn.plots.markup import Markup, element
from multilearn.plots.ticks import ticks

__all__ = ["HEIGHT", "WIDTH", "dashes", "draw"]

WIDTH, HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 32
_MARKED = 60  # points of a line with marks
_TOGETHER = 2.0  # pixels
_NO_TENTHS = re.compile(r"\.0(?!\d)")


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` on pixels from `start` to `end`, by halves: the difference of huge ones overflows."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @cached_property
    def _scale(self) -> tuple[float, float]:
        low, high = (math.log(bound) if self.log else bound / 2 for bound in (self.low, self.high))
        return low, (self.end - self.start) / (high - low)

    def at(self, value: float) -> float:
        """Where a value is; at the edge if it is beyond."""
        low, pixels = self._scale
        of = math.log(min(max(value, self.low), self.high)) if self.log else value / 2
        place = self.start + (of - low) * pixels
        first, last = (self.start, self.end) if self.start < self.end else (self.end, self.start)
        return first if place < first else last if place > last else place


def draw(chart: Chart, width: int = WIDTH, height: int = HEIGHT, *, standalone: bool = False) -> Markup:
    """The chart. `standalone`: of a fixed size, for a picture; else as wide as the page has room."""
    across, up = x_span(chart), y_span(chart)
    size: dict[str, Any] = {"width": width, "height": height} if standalone else {}
    title, description = element("title", chart.title), element("desc", chart.description)
    box = f"0 0 {width} {height}"
    if across is None or up is None:
        note = element("text", "nothing to draw", class_="tick", x=width // 2, y=height // 2, text_anchor="middle")
        return element("svg", title, description, note, class_="chart", role="img", viewBox=box, **size)
    x, y = _Axis(*across, _LEFT, width - _RIGHT), _Axis(*up, height - _BOTTOM, _TOP, chart.log)
    size |= {"data_x0": f"{x.low:.6g}", "data_x1": f"{x.high:.6g}", "data_from": x.start, "data_to": x.end}
    parts = (*_ticks(chart, x, y), *_gate(chart, x, y), *_bands(chart, x, y), *_lines(chart, x, y))
    frame = element("path", class_="axis", d=f"M{x.start} {y.end}V{y.start}H{x.end}")
    content = (title, description, *parts, frame)
    return element("svg", *content, class_="chart", role="img", viewBox=box, **size)


def _ticks(chart: Chart, x: _Axis, y: _Axis) -> Iterator[Markup]:
    for level, written in levels(chart, y.low, y.high):
        at = y.at(level)
        yield element("path", class_="grid", d=f"M{x.start} {at:.1f}H{x.end}")
        yield element("text", written, class_="tick", x=x.start - 7, y=f"{at + 3.5:.1f}", text_anchor="end")
    for place in ticks(x.low, x.high, 9):
        if place == round(place):
            at = x.at(place)
            yield element("path", class_="grid", d=f"M{at:.1f} {y.start}v4")
            yield element("text", f"{place:g}", class_="tick", x=f"{at:.1f}", y=y.start + 17, text_anchor="middle")
    yield element("text", chart.x_name, class_="tick", x=x.end, y=y.start + 29, text_anchor="end")


def _gate(chart: Chart, x: _Axis, y: _Axis) -> Iterator[Markup]:
    if chart.gate is not None:
        level, name = chart.gate
        at = y.at(level)
        yield element("rect", class_="past", x=x.start, y=y.end, width=x.end - x.start, height=f"{at - y.end:.1f}")
        yield element("path", class_="gate", d=f"M{x.start} {at:.1f}H{x.end}")
        yield element("text", name, class_="gate-name", x=x.start + 6, y=f"{at - 5:.1f}")


def _bands(chart: Chart, x: _Axis, y: _Axis) -> Iterator[Markup]:
    for line in chart.lines:
        for run in _unbroken(chart, line.x, *(line.band or ((), ()))):
            top = [_point(x.at(at), y.at(high)) for at, _, high in run]
            bottom = [_point(x.at(at), y.at(low)) for at, low, _ in reversed(run)]
            yield element("path", class_=f"band c{line.colour}", d=_short(f"M{'L'.join([*top, *bottom])}Z"))


def _lines(chart: Chart, x: _Axis, y: _Axis) -> Iterator[Markup]:
    for line, pattern in zip(chart.lines, _dashes(chart, y), strict=True):
        runs = [[_point(x.at(at), y.at(value)) for at, value in run] for run in _unbroken(chart, line.x, line.y)]
        # a point that stands alone is a line of no length, which round ends make visible
        path = "".join(f"M{'L'.join(run)}" + ("h0" if len(run) == 1 else "") for run in runs)
        classes = f"line thin c{line.colour}" if line.thin else f"line c{line.colour}"
        stroke: dict[str, Any] = {}
        if pattern is not None:
            first, (on, off) = pattern
            stroke = {"stroke_dasharray": f"{on} {off}", "stroke_dashoffset": -first or None}
        yield element("path", element("title", line.name), class_=classes, d=_short(path), **stroke)
        if line.marks and len(line.x) <= _MARKED:
            dots = "".join(f"M{point}h0" for run in runs for point in run)
            yield element("path", class_=f"dots c{line.colour}", d=_short(dots))


def _point(x: float, y: float) -> str:
    """In tenths of a pixel."""
    return f"{x:.1f} {y:.1f}"


def _short(path: str) -> str:
    """Without the tenths if there are none."""
    return _NO_TENTHS.sub("", path)


def _unbroken(chart: Chart, x: Sequence[float], *values: Sequence[float]) -> Iterator[list[tuple[float, ...]]]:
    """The points up to a value that is not drawn, those after it, and so on."""
    run: list[tuple[float, ...]] = []
    for point in zip(x, *values, strict=False):
        if all(drawable(chart, value) for value in point[1:]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


Dashes = tuple[int, tuple[int, int]]
"""Where the first dash begins, how long it is, and the gap after it."""


def dashes(chart: Chart, span: tuple[float, float]) -> list[Dashes | None]:
    """Of each line, None for one without gaps: lines that lie on each other take turns, so that all are seen."""
    return _dashes(chart, _Axis(*span, HEIGHT - _BOTTOM, _TOP, chart.log))


def _dashes(chart: Chart, y: _Axis) -> list[Dashes | None]:
    found: list[Dashes | None] = []
    for line, (place, count) in zip(chart.lines, _turns(chart.lines, y), strict=True):
        on, off = (5, 3) if line.dashed else (9, 0)
        whole = on + off
        found.append((whole * place, (on, off + whole * (count - 1))) if line.dashed or count > 1 else None)
    return found


def _turns(lines: Sequence[Line], y: _Axis) -> list[tuple[int, int]]:
    """For each line which one it is, of how many that lie within two pixels of each other everywhere."""
    clusters: list[list[int]] = []
    for at, line in enumerate(lines):
        alike = (cluster for cluster in clusters if not line.thin and _on_each_other(line, lines[cluster[0]], y))
        if (cluster := next(alike, None)) is None:
            clusters.append([at])
        else:
            cluster.append(at)
    found = {at: (place, len(cluster)) for cluster in clusters for place, at in enumerate(cluster)}
    return [found[at] for at in range(len(lines))]


def _on_each_other(one: Line, other: Line, y: _Axis) -> bool:
    if other.thin or one.dashed != other.dashed or list(one.x) != list(other.x):
        return False
    pairs = list(zip(one.y, other.y, strict=True))
    if any(math.isfinite(a) != math.isfinite(b) for a, b in pairs):
        return False
    return all(abs(y.at(a) - y.at(b)) < _TOGETHER for a, b in pairs if math.isfinite(a))
