"""Progress as one block on a terminal that is redrawn in place."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.text import Text

from multilearn.events import Event, Finished, MetricInfo, Split, Started
from multilearn.renderers.grid import BOLD, CYAN, DIM, PLAIN, Bar, Cell, Column, Grid
from multilearn.renderers.notation import abridged, duration, rate, shown
from multilearn.renderers.phrases import beginning, ending
from multilearn.renderers.run_state import RunState
from multilearn.renderers.sparkline import blocks_for, sparkline
from multilearn.renderers.stream import ForgivingStream

__all__ = ["LiveBlock"]

_REFRESH_SECONDS = 0.08
_DRAWING_SHARE = 0.03
_SHORTEST_CURVE, _LONGEST_CURVE = 5, 30
_VALUE_WIDTH, _TEXT_WIDTH = 10, 20
_NAME_WIDTH = 24


class LiveBlock:
    """Where the run is, its metrics and their curves, redrawn at most every 80 ms, and so seldom that it costs little.

    Steps are reported at most 100 ms after they are done: what is drawn is at most 200 ms late, if drawing takes
    3 ms, which is enough for thirty metrics on both splits; with more it is drawn less often.

    What is printed meanwhile to the same terminal through `sys.stdout` or `sys.stderr` appears above. No thread.
    """

    def __init__(self, stream: TextIO, started: Started, now: float) -> None:
        self._terminal = ForgivingStream(stream)
        self._blocks = blocks_for(self._terminal.encoding)
        self._progress = RunState(started, now)
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
        self._console.print(Text(beginning(started), style="bold"))
        self._live.start()

    def render(self, event: Event, now: float) -> None:
        self._now = now
        self._progress.take(event, now)
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
        finished = self._progress.finished
        if finished is None:
            return Group(self._head(), self._metrics(), self._foot())
        progress = self._progress
        words = ending(progress.started, finished, self._now - progress.begun, progress.saved)
        ended = Text(words, style="bold")
        return Group(self._metrics(), ended)

    def _head(self) -> RenderableType:
        """The epoch, the split, its batches as a bar (or as a mere count), how fast, and how long still."""
        progress = self._progress
        epochs, total = progress.started.epochs, progress.total
        remaining = "" if progress.remaining is None else f"{duration(progress.remaining)} left"
        before: list[Cell] = [
            (f"epoch {progress.epoch:{len(str(epochs))}}/{epochs}", BOLD),
            (progress.split.value, PLAIN),
        ]
        after: list[Cell] = [
            (f"{progress.batch}/{total}" if total else f"{progress.batch} batches", PLAIN),
            ("" if progress.rate is None else f"{rate(progress.rate):>14}", PLAIN),
            (f"{remaining:>9}", PLAIN),
        ]
        return Bar(before, after, progress.batch, total)

    def _metrics(self) -> RenderableType:
        """A row for each metric: the value and the curve of both splits; values of the last epoch are dim."""
        metrics = self._progress.started.metrics
        names = list(dict.fromkeys(info.name for infos in metrics.values() for info in infos))
        splits = [split for split in Split if metrics.get(split)]
        if not names:
            return Group()
        longest = min(max(map(len, names)), self._room_for_names(splits))
        room = (self._console.width - longest) // len(splits) - _VALUE_WIDTH - 4
        width = max(1, min(_LONGEST_CURVE, room, max(_SHORTEST_CURVE, self._progress.started.epochs)))
        of_split = Column(_VALUE_WIDTH, _TEXT_WIDTH, right=True), Column(width)
        rows: list[list[Cell]] = [
            [("", PLAIN), *(cell for split in splits for cell in ((split.value, DIM), ("", DIM)))]
        ]
        for name in names:
            row: list[Cell] = [(abridged(name, longest), PLAIN)]
            for split in splits:
                info = next((info for info in metrics[split] if info.name == name), None)
                row += self._cells(split, info, width) if info is not None else [("", PLAIN), ("", PLAIN)]
            rows.append(row)
        return Grid([Column(most=longest), *(of_split * len(splits))], rows)

    def _room_for_names(self, splits: Sequence[Split]) -> int:
        """What values and short curves leave of the line; never less than makes sense."""
        metrics = self._progress.started.metrics
        texts = any(not info.numeric for split in splits for info in metrics[split])
        of_split = (_TEXT_WIDTH if texts else _VALUE_WIDTH + 1) + _SHORTEST_CURVE + 4
        return max(_NAME_WIDTH, self._console.width - len(splits) * of_split)

    def _cells(self, split: Split, info: MetricInfo, width: int) -> list[Cell]:
        progress = self._progress
        value = progress.values.get(split, {}).get(info.name)
        text = "-" if value is None else shown(value, info.unit)
        curve = progress.curves.get(split, {}).get(info.name, {}) if info.plotted else {}
        return [
            (text, PLAIN if split in progress.current else DIM),
            (self._curve(split, info.name, curve, width), CYAN),
        ]

    def _curve(self, split: Split, name: str, values: Mapping[int, float], width: int) -> str:
        """The sparkline of all epochs, made again when there is one more of them."""
        seen, drawn = self._curves.get((split, name), (None, ""))
        if seen != (len(values), width):
            drawn = sparkline([values[epoch] for epoch in sorted(values)], width, self._blocks)
            self._curves[split, name] = (len(values), width), drawn
        return drawn

    def _foot(self) -> RenderableType:
        rate_now = self._progress.learning_rate
        return Grid([Column()], [[("" if rate_now is None else f"learning rate {rate_now:.3g}", DIM)]])


def _same_terminal(stream: TextIO | None, terminal: ForgivingStream) -> bool:
    """Whether what is written to `stream` lands on `terminal`."""
    other = ForgivingStream(stream)
    try:
        return other.isatty() and os.path.sameopenfile(other.fileno(), terminal.fileno())
    except (OSError, ValueError):
        return False
