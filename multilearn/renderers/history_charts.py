"""The charts at the end of a summary: of each plotted metric its values after the epochs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO, cast

from multilearn.events import START, MetricInfo, Split, Started
from multilearn.history import History
from multilearn.renderers.stream import ForgivingStream

if TYPE_CHECKING:
    from multilearn.plots.canvas import Line

__all__ = ["say_with_charts"]

_FEWEST = 2  # epochs: one of them is a point
_WIDEST = 160
_LINES = 10  # of a chart, also where all of them do not fit on the screen at once


def say_with_charts(
    text: str, history: History, metrics: Mapping[Split, Sequence[MetricInfo]], stream: TextIO | None
) -> None:
    """Write a summary; below it charts, if `stream` is a terminal that can show them and there are two epochs."""
    terminal = ForgivingStream(stream)
    terminal.say(text)
    lines = max((len(values) for of_split in history.table().values() for values in of_split.values()), default=0)
    if lines < _FEWEST or not terminal.draws():
        return
    from rich.console import Console
    from rich.segment import Segment, Segments

    from multilearn.renderers.charts import FULL

    if not terminal.can_show(FULL):
        return
    width = min(_WIDEST, shutil.get_terminal_size().columns - 1)
    console = Console(file=cast("IO[str]", terminal), force_terminal=True, force_jupyter=False, width=width + 1)
    for line in _charts(history, metrics, width):
        console.print(Segments([Segment("  "), *line, Segment.line()]), end="")


def _charts(history: History, metrics: Mapping[Split, Sequence[MetricInfo]], width: int) -> list[Line]:
    from multilearn.renderers.board import Board
    from multilearn.renderers.charts import TERMINAL, arrangement, chart, side_by_side

    table = history.table()
    epochs = max(epoch for of_split in table.values() for values in of_split.values() for epoch in values)
    infos = {split: tuple(of_split) for split, of_split in metrics.items()}
    board = Board(Started(Path(), epochs, START, dict.fromkeys(infos, 1), infos, table), 0.0)
    names = [name for name in board.names if any(board.epochs(split, name) for split in infos)]
    if not names:
        return []
    width -= 2
    columns, _ = arrangement(2 if len(names) > 1 else 1, width, _LINES) or (1, _LINES)
    size = (width + 2) // columns - 2, _LINES
    charts = [chart([("", board)], name, size, TERMINAL) for name in names]
    return [[], *side_by_side(charts, columns, width)]
