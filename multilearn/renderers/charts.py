"""The curves of one run, or of several, as charts: lines of styled text. No terminal is touched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from multilearn.events import Split
from multilearn.plots.canvas import Axes, Curve, Line, draw, fitted, limits
from multilearn.plots.series import Floats
from multilearn.plots.ticks import labels, ticks
from multilearn.printable import printable
from multilearn.renderers.board import Board
from multilearn.renderers.notation import abridged, shown

__all__ = ["FULL", "TERMINAL", "Palette", "View", "arrangement", "chart", "side_by_side"]

FULL = "⣿"
"""What a terminal must be able to show."""

_SHORTEST, _TALLEST = 7, 14  # lines of a chart among others, its title included
_NARROWEST = 38
_BETWEEN = 2  # columns between charts
_SMOOTHING = 50  # the line is a mean over this part of the points
_LABEL_WIDTH = 6
_X_TICK_WIDTH = 9


class View(StrEnum):
    """Which part of a run is shown."""

    ALL = "all"
    TENTH = "last tenth"
    RECENT = "last 1,000 batches"


@dataclass(frozen=True)
class Palette:
    """Colours on one kind of background. `runs`: a pair for each of several runs, validation and training."""

    train: Style
    train_batches: Style
    valid: Style
    axis: Style
    grid: Style
    runs: tuple[tuple[Style, Style], ...]

    def of(self, number: int, among: int) -> tuple[Style, Style, Style]:
        """Of training, of its single batches and of validation."""
        if among == 1:
            return self.train, self.train_batches, self.valid
        valid, train = self.runs[number % len(self.runs)]
        return train, train, valid


TERMINAL = Palette(  # of the 256 colours those that can be read on black and on white
    train=Style(color="color(172)"),
    train_batches=Style(color="color(172)", dim=True),
    valid=Style(color="color(32)", bold=True),
    axis=Style(color="color(245)"),
    grid=Style(color="color(245)", dim=True),
    runs=((Style(color="color(32)", bold=True), Style(color="color(32)", dim=True)),),
)


def chart(
    boards: Sequence[tuple[str, Board]],
    name: str,
    size: tuple[int, int],
    palette: Palette,
    *,
    view: View = View.ALL,
    log: bool = False,
) -> list[Line]:
    """A metric of runs, which have names: a title with the newest values, and below it the curves on common axes.

    `size`: columns and lines. A share is never on a log axis.
    """
    width, height = size
    having = [(number, run, board) for number, (run, board) in enumerate(boards) if name in board.infos]
    unit = having[0][2].infos[name].unit if having else ""
    log = log and unit != "share"
    spans = [_span(board, view) for _, _, board in having] or [(0.0, 1.0)]
    span = min(low for low, _ in spans), max(high for _, high in spans)
    colours = {number: palette.of(number, len(boards)) for number, _, _ in having}
    curves = [
        _within(curve, span)
        for split in (Split.TRAIN, Split.VALID)  # validation lies above
        for number, _, board in having
        for curve in _curves(board, name, split, view, colours[number])
    ]
    axes = Axes(
        span,
        limits(curves, log, unit),
        log,
        unit,
        _x_ticks(*span, most=max(2, width // _X_TICK_WIDTH)),
        "epoch" if all(board.in_epochs for _, _, board in having) else "batch",
        palette.axis,
        palette.grid,
    )
    values = [part for number, run, board in having for part in _values(board, run, name, colours[number], len(boards))]
    note = " · ".join([*(["log"] if log else []), *([view.value] if view is not View.ALL else [])])
    title = _title(name, values, note, width, palette.axis)
    return [title, *draw(curves, axes, width, height - 1, _LABEL_WIDTH)][:height]


def arrangement(count: int, width: int, height: int) -> tuple[int, int] | None:
    """In how many columns `count` charts stand in so much room, and how many lines each has; None if they have not
    enough. As few columns as leave them high enough.

    >>> arrangement(2, 80, 16), arrangement(2, 160, 40), arrangement(5, 80, 16)
    ((2, 14), (1, 14), None)
    """
    best: tuple[int, int] | None = None
    for columns in range(1, count + 1):
        lines = min(_TALLEST, height // math.ceil(count / columns))
        if (width + _BETWEEN) // columns - _BETWEEN < _NARROWEST:
            break
        if lines >= _SHORTEST and (best is None or lines > best[1]):
            best = columns, lines
    return best


def side_by_side(charts: Sequence[list[Line]], columns: int, width: int) -> list[Line]:
    """Charts in rows of `columns`."""
    if columns == 1:
        return [line for each in charts for line in each]
    rows = (charts[start : start + columns] for start in range(0, len(charts), columns))
    space = Segment(" " * _BETWEEN)
    return [
        fitted([segment for at, part in enumerate(parts) for segment in ([space, *part] if at else part)], width)
        for row in rows
        for parts in zip(*row, strict=True)
    ]


def _span(board: Board, view: View) -> tuple[float, float]:
    """From where to where x goes."""
    epochs, now = board.state.started.epochs, board.x
    if view is View.RECENT:
        recent = [x for series in board.batches.values() if len(x := series.recent()[0])]
        if recent:
            low = min(float(x[0]) for x in recent)
            return low, max(now, low + 1e-6)
    if view is View.TENTH:
        return max(0.0, now - max(1.0, epochs / 10)), max(now, 1e-6)
    return 0.0, max(1.0, math.ceil(now)) if board.in_epochs else max(1.0, now)


def _curves(board: Board, name: str, split: Split, view: View, colours: tuple[Style, Style, Style]) -> Iterator[Curve]:
    train, faint, valid = colours
    values = board.epochs(split, name)
    if split is Split.VALID:
        if values:
            yield _of_epochs(values, valid)
        return
    series = board.batches.get(name)
    if series is None or not len(series):
        if values:
            yield _of_epochs(values, train)
        return
    before = {epoch: value for epoch, value in values.items() if epoch <= board.state.started.position.finished_epochs}
    if before:
        yield _of_epochs(before, train)
    if view is View.RECENT or not series.coarse:  # each point is one batch
        x, y = series.recent() if view is View.RECENT else series.all()[:2]
        smooth = _smooth(y)
        if smooth is not y:
            yield Curve(x, y, faint)
        yield Curve(x, smooth, train)
    else:
        x, mean, least, greatest = series.all()
        yield Curve(x, _smooth(mean), train, (least, greatest), faint)


def _of_epochs(values: dict[int, float], style: Style) -> Curve:
    return Curve(np.array(list(values), float), np.array(list(values.values()), float), style, marks=True)


def _within(curve: Curve, span: tuple[float, float]) -> Curve:
    """What is seen of it, and the points just outside, to which its line goes."""
    first = max(0, int(np.searchsorted(curve.x, span[0], "left")) - 1)
    last = int(np.searchsorted(curve.x, span[1], "right")) + 1
    part = slice(first, last)
    band = None if curve.band is None else (curve.band[0][part], curve.band[1][part])
    return replace(curve, x=curve.x[part], y=curve.y[part], band=band)


def _smooth(y: Floats) -> Floats:
    """A centred mean over a fiftieth of the points; what is not finite counts for nothing."""
    width = len(y) // _SMOOTHING | 1
    if width < 3:
        return y
    finite, ones = np.isfinite(y), np.ones(width)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = np.convolve(np.where(finite, y, 0.0), ones, "same")
        found: Floats = total / np.convolve(finite.astype(float), ones, "same")
    return found


def _x_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Whole epochs, where there are a few."""
    at = ticks(low, high, min(most, int(high - low) + 1) if high - low >= 2 else most)
    return list(zip(at, labels(at), strict=True))


def _values(
    board: Board, run: str, name: str, colours: tuple[Style, Style, Style], among: int
) -> Iterator[tuple[str, str, Style]]:
    """What the metric is now, under a word: of one run on both splits, of one among several on one of them."""
    train, _, valid = colours
    splits = ((Split.VALID, valid), (Split.TRAIN, train)) if among > 1 else ((Split.TRAIN, train), (Split.VALID, valid))
    for split, style in splits:
        value = board.state.values.get(split, {}).get(name)
        if value is not None:
            yield printable(run) if among > 1 else split.value, shown(value, board.infos[name].unit), style
            if among > 1:
                return


def _title(name: str, values: Sequence[tuple[str, str, Style]], note: str, width: int, faint: Style) -> Line:
    """Without the words where they have no room."""
    texts = [f"━ {word} {value}" for word, value, _ in values]
    if len(name) + 1 + sum(cell_len(text) + 2 for text in texts) > width:
        texts = [f"━ {value}" for _, value, _ in values]
    name = abridged(name, max(8, width - 1 - sum(cell_len(text) + 2 for text in texts)))
    line = [Segment(f" {name}", Style(bold=True))]
    used = cell_len(name) + 1
    for text, (_, _, style) in zip(texts, values, strict=True):
        if used + cell_len(text) + 2 <= width:
            line += [Segment("  "), Segment(text, style)]
            used += cell_len(text) + 2
    if note and used + len(note) + 2 <= width:
        line += [Segment(" " * (width - used - len(note))), Segment(note, faint)]
    return fitted(line, width)
