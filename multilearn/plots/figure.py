"""Charts side by side as one picture, for a paper: SVG by itself, PDF and PNG by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multilearn.plots.chart import COLOURS, PALETTE, Chart
from multilearn.plots.markup import Markup, element
from multilearn.plots.svg import draw
from multilearn.storage.output import checked_output, write_output

__all__ = ["FORMATS", "Figure"]

FORMATS = (".svg", ".pdf", ".png")

_COLUMNS = 3
_WIDTH, _HEIGHT, _HEAD = 390, 250, 26
_KEY_HEIGHT = 22
_FONT = "11px Helvetica,Arial,sans-serif"


@dataclass(frozen=True)
class Figure:
    """Charts, and the names of the colours that they have in common. A notebook shows it."""

    charts: tuple[Chart, ...] = field(repr=False)
    names: tuple[str, ...] = ()

    def as_svg(self) -> str:
        """The picture, of equal bytes for equal charts."""
        columns = min(_COLUMNS, len(self.charts))
        rows = -(-len(self.charts) // columns)
        width = columns * _WIDTH
        below = rows * (_HEIGHT + _HEAD)
        keys = list(_keys(self.keys(), width, below + 16))
        height = below + _KEY_HEIGHT * (1 + keys[-1][0] if keys else 0) + 4
        panels = (_panel(chart, at % columns, at // columns) for at, chart in enumerate(self.charts))
        paper = element("rect", width=width, height=height, fill="#fff")
        content = (element("style", Markup(_style())), paper, *panels, *(key for _, key in keys))
        size: dict[str, Any] = {"width": width, "height": height, "viewBox": f"0 0 {width} {height}"}
        return element("svg", *content, xmlns="http://www.w3.org/2000/svg", **size)

    def keys(self) -> list[tuple[str, int, bool]]:
        """A name, the number of its colour, and whether its line is dashed, for each entry of the key."""
        splits = any(line.dashed for chart in self.charts for line in chart.lines)
        names = self.names if len(self.names) > 1 else ()
        colours = [(name, at % COLOURS, False) for at, name in enumerate(names)]
        return colours + ([("valid", -1, False), ("train", -1, True)] if splits else [])

    def save(self, path: str | Path) -> Path:
        """Write it to a `.svg`, or, where matplotlib is installed, to a `.pdf` or `.png`; the path is returned.

        Raises `ConfigurationError` for another suffix, a place that cannot be written, and where matplotlib is missing.
        """
        target = checked_output(path, FORMATS, "A figure")
        if target.suffix == ".svg":
            content = self.as_svg().encode()
        else:
            from multilearn.plots.with_matplotlib import drawn

            content = drawn(self.charts, self.keys(), target.suffix[1:])
        write_output(target, content)
        return target

    def _repr_svg_(self) -> str:
        return self.as_svg()


def _panel(chart: Chart, column: int, row: int) -> Markup:
    place = f"translate({column * _WIDTH} {row * (_HEIGHT + _HEAD) + _HEAD})"
    name = element("text", chart.head, class_="name", x=58, y=-8)
    return element("g", name, draw(chart, _WIDTH, _HEIGHT, standalone=True), transform=place)


def _keys(keys: Sequence[tuple[str, int, bool]], width: int, y: int) -> Iterator[tuple[int, Markup]]:
    """Each in the row where there is room for it."""
    x, row = 58, 0
    for name, colour, dashed in keys:
        room = 50 + 7 * len(name)
        if x + room > width and x > 58:
            x, row = 58, row + 1
        classes = "line" if colour < 0 else f"line c{colour}"
        stroke = element("path", class_=classes, d="M0 0H20", stroke_dasharray="5 3" if dashed else None)
        place = f"translate({x} {y + row * _KEY_HEIGHT})"
        yield row, element("g", stroke, element("text", name, x=26, y=4), transform=place)
        x += room


def _style() -> str:
    colours = "".join(f".c{at}{{stroke:{colour};fill:{colour}}}" for at, colour in enumerate(PALETTE))
    return (
        f"text{{font:{_FONT};fill:#333;stroke:none}}.name{{font-weight:600;font-size:13px}}{colours}"
        ".line,.dots{fill:none;stroke-linecap:round;stroke-linejoin:round}.line{stroke-width:1.6;stroke:#555}"
        + "".join(f".line.c{at}{{stroke:{colour}}}" for at, colour in enumerate(PALETTE))
        + ".line.thin{stroke-width:.8;opacity:.45}.dots{stroke-width:4}.band{stroke:none;opacity:.15}"
        ".grid{stroke:#e5e5e5;fill:none}.axis{stroke:#999;fill:none}"
    )
