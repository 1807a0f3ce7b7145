"""A figure by matplotlib, with the axes, ticks and colours that the SVG has."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from multilearn.errors import ConfigurationError, pip_install
from multilearn.plots.chart import PALETTE, Chart, levels, y_span
from multilearn.plots.svg import dashes
from multilearn.printable import printable

__all__ = ["drawn"]

_COLUMNS = 3
_INCHES = 3.3, 2.4  # of a chart
_NEITHER = "#555555"  # of a line whose split is meant, not its run
_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 8,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "text.parse_math": False,
}
_NO_DATE: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}


def drawn(charts: Sequence[Chart], keys: Sequence[tuple[str, int, bool]], kind: str) -> bytes:
    """Charts and their key as `pdf` or `png`: equal bytes for equal charts, by one matplotlib.

    Raises `ConfigurationError` if matplotlib is missing.
    """
    try:
        import matplotlib.style
        from matplotlib.figure import Figure as Sheet
    except ImportError as error:
        raise ConfigurationError(
            "PDF and PNG are drawn by matplotlib.",
            received=f".{kind}, and matplotlib is not installed",
            remedy=f"Write a .svg, or run: {pip_install('plot')}",
        ) from error
    columns = min(_COLUMNS, len(charts))
    rows = -(-len(charts) // columns)
    content = BytesIO()
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that the font lacks is a box
        sheet = Sheet(figsize=(_INCHES[0] * columns, _INCHES[1] * rows + 0.25))
        axes = sheet.subplots(rows, columns, squeeze=False).flat
        for chart, axis in zip(charts, axes, strict=False):
            _chart(axis, chart)
        for axis in axes[len(charts) :]:
            axis.set_axis_off()
        _key(sheet, keys)
        sheet.savefig(content, format=kind, dpi=200, metadata=_NO_DATE[kind])
    return content.getvalue()


def _chart(axis: Any, chart: Chart) -> None:
    axis.set_title(printable(chart.head), loc="left", fontweight="bold", fontsize=9)
    axis.set_xlabel(chart.x_name)
    span = y_span(chart)
    if span is None:
        return
    axis.set_yscale("log" if chart.log else "linear")
    axis.set_ylim(*span)
    places, written = zip(*levels(chart, *span), strict=True)
    axis.set_yticks(places, written)
    axis.minorticks_off()
    axis.xaxis.get_major_locator().set_params(integer=True)
    for line, pattern in zip(chart.lines, dashes(chart, span), strict=True):
        colour, faint = PALETTE[line.colour], 0.45 if line.thin else 1.0
        if line.band is not None:
            low, high = map(_finite, line.band)
            axis.fill_between(line.x, low, high, color=colour, alpha=0.15, linewidth=0)
        marks = {"marker": "o", "markersize": 2.5} if line.marks and len(line.x) <= 60 else {}
        width = 0.6 if line.thin else 1.2
        style: Any = "-" if pattern is None else (-pattern[0], pattern[1])
        axis.plot(line.x, _finite(line.y), color=colour, linestyle=style, alpha=faint, linewidth=width, **marks)


def _key(sheet: Any, keys: Sequence[tuple[str, int, bool]]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=_NEITHER if colour < 0 else PALETTE[colour], linestyle="--" if dashed else "-")
        for _, colour, dashed in keys
    ]
    if keys:
        # a name that begins with _ is left out of a legend
        sheet.legend(lines, [f" {printable(name)}" for name, _, _ in keys], loc="outside lower left", ncols=6)


def _finite(values: Sequence[float]) -> list[float]:
    return [value if math.isfinite(value) else math.nan for value in values]
