"""Rows of short texts in columns, made straight into what a console writes: it is drawn ten times a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style

__all__ = ["BOLD", "CYAN", "DIM", "PLAIN", "Bar", "Cell", "Column", "Grid"]

PLAIN, BOLD, DIM, CYAN = Style(), Style(bold=True), Style(dim=True), Style(color="cyan")

Cell = tuple[str, Style]

_GAP = "  "
_SHORTEST_BAR = 4


@dataclass(frozen=True)
class Column:
    """From `least` to `most` places wide, as its longest text needs; longer ones are cut."""

    least: int = 0
    most: int = 1 << 16
    right: bool = False

    def width(self, texts: Sequence[str]) -> int:
        return min(self.most, max(self.least, *map(cell_len, texts)))

    def fitted(self, text: str, width: int) -> str:
        missing = width - cell_len(text)
        if missing < 0:
            return set_cell_size(text, width)
        return " " * missing + text if self.right else text + " " * missing


class Grid:
    """Something rich can print. What does not fit on a line of the terminal is cut at its right end."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        self._columns = columns
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [column.width([row[place][0] for row in self._rows]) for place, column in enumerate(self._columns)]
        for row in self._rows:
            for (text, style), column, width in zip(row, self._columns, widths, strict=True):
                yield Segment(column.fitted(text, width) + _GAP, style)
            yield Segment.line()


class Bar:
    """A line with a progress bar, `done` of `total`, as long as the texts on both of its sides leave room for."""

    def __init__(self, before: Sequence[Cell], after: Sequence[Cell], done: int, total: int | None) -> None:
        self._before = before
        self._after = after
        self._done = done
        self._total = total

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        texts = [text for text, _style in (*self._before, *self._after)]
        room = max(_SHORTEST_BAR, options.max_width - sum(map(cell_len, texts)) - len(_GAP) * len(texts))
        for text, style in self._before:
            yield Segment(text + _GAP, style)
        if self._total:
            bar = ProgressBar(self._total, self._done, complete_style="cyan", finished_style="cyan")
            yield from console.render(bar, options.update(width=room, max_width=room))
        else:
            yield Segment(" " * room)
        for text, style in self._after:
            yield Segment(_GAP + text, style)
        yield Segment.line()
