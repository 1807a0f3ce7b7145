"""Progress as one block on a terminal that is redrawn in place."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import IO, TextIO, cast

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from multilearn.events import Event, Finished, MetricInfo, Split, Started
from multilearn.plots.canvas import Line
from multilearn.renderers.board import Board
from multilearn.renderers.charts import FULL, TERMINAL, arrangement, chart, side_by_side
from multilearn.renderers.notation import abridged, beginning, duration, ending, rate, shown, sparkline
from multilearn.renderers.run_state import Origin
from multilearn.renderers.stream import ForgivingStream

__all__ = ["LiveBlock"]

_REFRESH_SECONDS = 0.08
_DRAWING_SHARE = 0.03
_SHORTEST_CURVE, _LONGEST_CURVE = 5, 30
_VALUE_WIDTH, _TEXT_WIDTH = 10, 20
_NAME_WIDTH = 24
_SHORTEST_BAR = 4
_AROUND = 4  # lines of a terminal beside the charts: above and below them in the block, and two of what came before

_PLAIN, _BOLD, _DIM, _CYAN = Style(), Style(bold=True), Style(dim=True), Style(color="cyan")
_Cell = tuple[str, Style]


class LiveBlock:
    """Where the run is, its metrics and their curves, redrawn at most every 80 ms, and so seldom that it costs little.

    If the terminal has room, each plotted metric has a chart, training and validation in one; else a short curve in its
    row.

    Steps are reported at most 100 ms after they are done: what is drawn is at most 200 ms late, if drawing takes
    3 ms, which is enough for thirty metrics on both splits; with more it is drawn less often.

    What is printed meanwhile to the same terminal through `sys.stdout` or `sys.stderr` appears above. No thread.
    """

    def __init__(self, stream: TextIO, started: Started, now: float, origin: Origin | None = None) -> None:
        """`origin`: of a run that was shown elsewhere up to here."""
        self._origin = Origin(started, beginning(started)) if origin is None else origin
        self._terminal = ForgivingStream(stream)
        self._draws_charts = self._terminal.can_show(FULL)
        self._board = Board(started, now)
        self._progress = self._board.state
        self._curves: dict[tuple[Split, str], tuple[tuple[int, int] | None, str]] = {}
        self._now = self._due = now
        self._console = Console(
            file=cast("IO[str]", self._terminal),
            force_terminal=True,
            force_jupyter=False,
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=self._block,
            redirect_stdout=sys.stdout is stream or _same_terminal(sys.stdout, self._terminal),
            redirect_stderr=sys.stderr is stream or _same_terminal(sys.stderr, self._terminal),
        )
        self._fit_terminal()
        self._console.print(Text(self._origin.words, style="bold"))
        self._live.start()

    def render(self, event: Event, now: float) -> None:
        self._now = now
        self._board.take(event, now)
        if now >= self._due or isinstance(event, Finished):
            begun = time.perf_counter()
            self._fit_terminal()
            self._live.refresh()
            self._due = now + max(_REFRESH_SECONDS, (time.perf_counter() - begun) / _DRAWING_SHARE)

    def close(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, FileProxy):
                stream.flush()  # an unfinished line would be lost with the proxy
        self._live.stop()

    def _fit_terminal(self) -> None:
        try:
            size = os.get_terminal_size(self._terminal.fileno())
        except (OSError, ValueError):
            size = shutil.get_terminal_size()
        self._console.size = (size.columns or 80, size.lines or 24)

    def _block(self) -> RenderableType:
        progress = self._progress
        if progress.finished is not None:
            words = ending(self._origin.started, progress.finished, self._now - progress.begun, progress.saved)
            return Group(_Rows(self._metrics(charted=not progress.finished.summary)), Text(words, style="bold"))
        rate = progress.learning_rate
        foot = [Segment("" if rate is None else f"learning rate {rate:.3g}", _DIM)]
        return _Rows([*_lines([self._head()]), *self._metrics(charted=True), foot])

    def _metrics(self, charted: bool) -> list[Line]:
        """Charts if there is room for all of them, and a row for each metric that has none."""
        metrics = self._progress.started.metrics
        names = list(dict.fromkeys(info.name for infos in metrics.values() for info in infos))
        plotted = self._board.names
        others = [name for name in names if name not in plotted]
        width = self._console.width - 1
        room = self._console.height - _AROUND - (len(others) + 1 if others else 0)
        arranged = arrangement(len(plotted), width, room) if charted and plotted and self._draws_charts else None
        if arranged is None:
            return _lines(self._table(names))
        columns, lines = arranged
        size = (width + 2) // columns - 2, lines
        charts = [chart([("", self._board)], name, size, TERMINAL) for name in plotted]
        return [*side_by_side(charts, columns, width), *_lines(self._table(others))]

    def _head(self) -> list[_Cell]:
        """The epoch, the split, its batches as a bar (or as a mere count), how fast, and how long still."""
        progress = self._progress
        epochs, total = progress.started.epochs, progress.total
        epoch, split = f"epoch {progress.epoch:{len(str(epochs))}}/{epochs}  ", f"{progress.split.value}  "
        count = f"{progress.batch}/{total}" if total else f"{progress.batch} batches"
        speed = "" if progress.rate is None else rate(progress.rate)
        remaining = "" if progress.remaining is None else f"{duration(progress.remaining)} left"
        rest = f"  {count}  {speed:>14}  {remaining:>9}"
        room = max(_SHORTEST_BAR, self._console.width - len(epoch + split + rest))
        done = min(room, room * progress.batch // total) if total else 0
        bar = [("━" * done, _CYAN), (("━" if total else " ") * (room - done), _DIM)]
        return [(epoch, _BOLD), (split, _PLAIN), *bar, (rest, _PLAIN)]

    def _table(self, names: Sequence[str]) -> list[tuple[_Cell, ...]]:
        """A row for each metric: the value and the curve of both splits; values of the last epoch are dim."""
        metrics = self._progress.started.metrics
        splits = [split for split in Split if metrics.get(split)]
        if not names:
            return []
        longest = min(max(map(len, names)), self._room_for_names(splits))
        room = (self._console.width - longest) // len(splits) - _VALUE_WIDTH - 4
        width = max(1, min(_LONGEST_CURVE, room, max(_SHORTEST_CURVE, self._progress.started.epochs)))
        columns = [_column(["", *(abridged(name, longest) for name in names)], _PLAIN, most=longest)]
        for split in splits:
            infos = {info.name: info for info in metrics[split]}
            values = [self._value(split, infos.get(name)) for name in names]
            style = _PLAIN if split in self._progress.current else _DIM
            columns.append(_column([split.value, *values], style, least=_VALUE_WIDTH, most=_TEXT_WIDTH, right=True))
            curves = [self._curve(split, infos.get(name), width) for name in names]
            columns.append(_column(["", *curves], _CYAN, least=width, most=width))
        return list(zip(*columns, strict=True))

    def _room_for_names(self, splits: Sequence[Split]) -> int:
        """What values and short curves leave of the line; never less than makes sense."""
        metrics = self._progress.started.metrics
        texts = any(not info.numeric for split in splits for info in metrics[split])
        of_split = (_TEXT_WIDTH if texts else _VALUE_WIDTH + 1) + _SHORTEST_CURVE + 4
        return max(_NAME_WIDTH, self._console.width - len(splits) * of_split)

    def _value(self, split: Split, info: MetricInfo | None) -> str:
        if info is None:
            return ""
        value = self._progress.values.get(split, {}).get(info.name)
        return "-" if value is None else shown(value, info.unit)

    def _curve(self, split: Split, info: MetricInfo | None, width: int) -> str:
        if info is None or not info.plotted:
            return ""
        values = self._progress.curves.get(split, {}).get(info.name, {})
        seen, drawn = self._curves.get((split, info.name), (None, ""))
        if seen != (len(values), width):  # made again when there is one more epoch
            drawn = sparkline([value for _, value in sorted(values.items())], width)
            self._curves[split, info.name] = (len(values), width), drawn
        return drawn


class _Rows:
    """Made straight into what a console writes, for it is drawn ten times a second. What does not fit on a line of the
    terminal is cut at its right end."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()


def _lines(rows: Sequence[Sequence[_Cell]]) -> list[Line]:
    return [[Segment(text, style) for text, style in row] for row in rows]


def _column(texts: Sequence[str], style: Style, *, least: int = 0, most: int, right: bool = False) -> list[_Cell]:
    """From `least` to `most` places wide, as its longest text needs; longer ones are cut."""
    lengths = [cell_len(text) for text in texts]
    width = min(most, max(least, *lengths))
    padded = (" " * (width - length) + text if right else text for text, length in zip(texts, lengths, strict=True))
    return [(set_cell_size(text, width) + "  ", style) for text in padded]


def _same_terminal(stream: TextIO | None, terminal: ForgivingStream) -> bool:
    """Whether what is written to `stream` lands on `terminal`."""
    other = ForgivingStream(stream)
    try:
        return other.isatty() and os.path.sameopenfile(other.fileno(), terminal.fileno())
    except (OSError, ValueError):
        return False
