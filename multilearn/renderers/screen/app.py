"""The screen: runs while they train, from wherever their events come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical

from multilearn.events import Event, Started
from multilearn.plots.canvas import Line
from multilearn.renderers.board import Board
from multilearn.renderers.charts import View
from multilearn.renderers.screen import panes, tables
from multilearn.renderers.screen.arrivals import Arrivals
from multilearn.renderers.screen.drawn import Drawn, theme
from multilearn.renderers.screen.facts import RunFacts
from multilearn.renderers.screen.looks import DARK, LIGHT, Looks
from multilearn.renderers.screen.output import OutputTail
from multilearn.renderers.screen.popups import Leaving, TextPopup, attachments, configuration
from multilearn.renderers.screen.shown import MOST, Run, Shown

__all__ = ["RunScreen", "Wish"]

Wish = Literal["stop", "kill", "sleep"]

_EVERY = 0.2  # seconds from one look at what has come to the next
_SHARE, _LATEST = 0.1, 2.0  # of a core that drawing may take, with at most so many seconds in between
_WIDE = 120  # columns from which on there is a panel at the side
_WISHES: dict[str | None, str] = {"stop": "stopping after this batch", "kill": "being killed"}


class RunScreen(App[str]):  # type: ignore[misc]
    """Shows `runs`: of each a name and its events, which are read on a thread, as they come or as they were kept.

    `ask`: asks the process that trains for one of `wishes`: to stop, to end at once, to sleep with this one. None if it
    cannot be asked.
    `output`: the file that it prints into. The screen goes when nothing more comes; a `persistent` one stays until a
    key leaves it. `watching`: the runs are those of other processes, and what has happened before comes at once.
    `gone`: whether the process that trains has died.
    """

    TITLE = "multilearn"
    CSS_PATH = "screen.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012
        Binding("q", "leave"),
        Binding("ctrl+c", "stop", priority=True),
        Binding("ctrl+z", "sleep"),
        Binding("left,h", "metric(-1)"),
        Binding("right,l,tab", "metric(1)"),
        Binding("up,k", "view(-1)"),
        Binding("down,j", "view(1)"),
        Binding("y", "log"),
        Binding("g", "several"),
        Binding("o", "output"),
        Binding("i", "configuration"),
        Binding("a", "attachments"),
        Binding("t", "theme"),
    ]

    def __init__(
        self,
        runs: Sequence[tuple[str, Iterable[Event]]],
        *,
        ask: Callable[[Wish], None] | None = None,
        wishes: Sequence[Wish] = ("stop", "kill", "sleep"),
        output: Path | None = None,
        persistent: bool = False,
        watching: bool = False,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._wishes = () if ask is None else tuple(wishes)
        self._runs, self._ask, self._persistent, self._gone = runs, ask, persistent, gone
        self.shown = Shown([Run(name, live=not watching) for name, _ in runs], OutputTail(output))
        self.shown.watching = watching
        self._out = 2 if output is None else 0
        self._key = 0
        self._spent = self._due = 0.0
        self._lines: list[Drawn] = []
        for looks in (DARK, LIGHT):
            self.register_theme(theme(looks))
        background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
        self.shown.looks = LIGHT if background in ("7", "15") else DARK
        self.theme = self.shown.looks.name

    @property
    def over(self) -> bool:
        """Whether nothing more comes of any run."""
        return all(run.over or (run.board is not None and run.board.state.finished) for run in self.shown.runs)

    def compose(self) -> ComposeResult:
        shown = self.shown

        def lines(draw: Callable[..., list[Line]], *first: int, **more: Any) -> Drawn:
            self._lines.append(Drawn(lambda width, height: draw(shown, *first, width, height), **more))
            return self._lines[-1]

        yield lines(panes.head, id="head")
        with Horizontal(id="middle"):
            yield lines(tables.side, id="side")
            with Vertical(id="charts"):
                yield lines(panes.tabs, id="tabs")
                for at in range(MOST):
                    yield lines(panes.metric_chart, at, classes="chart", id=f"chart{at}")
                yield lines(tables.values, id="values")
        yield lines(panes.prints, id="output")
        yield lines(panes.bar, id="bar")
        yield lines(panes.keys, id="keys")

    def on_ready(self) -> None:
        self._spent = time.process_time()
        self._arrivals = Arrivals([events for _, events in self._runs])
        self.set_interval(_EVERY, self._renew)
        self._changed()

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    def _renew(self) -> None:
        waiting = self._arrivals.take()
        now, begun = time.monotonic(), False
        for number, event in waiting:
            run = self.shown.runs[number]
            if isinstance(event, Started):
                run.board, run.facts, begun = Board(event, now), RunFacts(event.directory), True
            elif run.board is not None:
                run.board.take(event, now if run.live else run.board.state.begun)
        moving = {number for number, _ in waiting}
        for number, run in enumerate(self.shown.runs):
            if number not in moving:
                run.settle(now, self._arrivals.all_taken(number), self._arrivals.ended.get(number))
        if begun:
            self._arrange()
        self.shown.output.follow()
        if now >= self._due or begun:
            spent, self._spent = self._spent, time.process_time()
            self._due = now + min(_LATEST, (self._spent - spent) / _SHARE)
            self.draw()
        if self._gone() or (not self._persistent and not self.shown.watching and self.over):
            self.exit("over")

    def draw(self) -> None:
        """Draw again what has changed."""
        shown = self.shown
        versions = tuple((run.board and run.board.version, run.over) for run in shown.runs)
        key = (versions, self._key, shown.output.size, shown.asked)
        clock = int(time.monotonic())
        for lines in self._lines:
            if lines.display:
                lines.renew((key, clock) if lines.id in ("bar", "side") else key)

    # --- where things are

    def _arrange(self) -> None:
        wide = self.size.width >= _WIDE
        self.set_class(wide, "wide")
        self.set_class(self._out == 1, "tall-output")
        self.set_class(self._out == 2, "no-output")
        around = {0: 12, 1: 18, 2: 5}[self._out] if wide else 12
        self.shown.many = many = self.shown.charts_in(self.size.height - around, wide)
        self._of("tabs").display = many < len(self.shown.names)
        for at in range(MOST):
            self._of(f"chart{at}").display = at < many
        rows = 1 + (len(self.shown.runs) if len(self.shown.runs) > 1 else len(self.shown.infos))
        self._of("values").display = not wide and self.size.height >= 14
        self._of("values").styles.height = max(2, min(rows, 8, (self.size.height - 10) // 3))
        self._of("output").display = self._out != 2 and self.size.height >= 16
        self.call_after_refresh(self._changed)

    def _of(self, name: str) -> Any:
        return next(lines for lines in self._lines if lines.id == name)

    def _look(self, looks: Looks) -> None:
        self.shown.looks = looks
        self.theme = looks.name
        self._changed()

    def _changed(self) -> None:
        self._key += 1
        self.draw()

    # --- keys

    def action_metric(self, by: int) -> None:
        if names := self.shown.names:
            self.shown.metric = (self.shown.metric + by) % len(names)
        self._changed()

    def action_view(self, by: int) -> None:
        views = list(View)
        self.shown.view = views[(views.index(self.shown.view) + by) % len(views)]
        self._changed()

    def action_log(self) -> None:
        self.shown.log = not self.shown.log
        self._changed()

    def action_several(self) -> None:
        self.shown.several = self.shown.many == 1
        self._arrange()

    def action_output(self) -> None:
        self._out = (self._out + 1) % 3
        self._arrange()

    def action_theme(self) -> None:
        self._look(LIGHT if self.shown.looks.dark else DARK)

    def action_configuration(self) -> None:
        self.push_screen(TextPopup(configuration(self.shown)))

    def action_attachments(self) -> None:
        self.push_screen(TextPopup(attachments(self.shown)))

    def action_sleep(self) -> None:
        if self._ask is not None and "sleep" in self._wishes:
            self._ask("sleep")
        else:
            self.action_suspend_process()

    def action_stop(self) -> None:
        self._wish("leave" if self.shown.watching else "stop")

    def action_leave(self) -> None:
        self.exit("over") if self.over else self.push_screen(Leaving(self._wishes), self._wish)

    def _wish(self, wish: str | None) -> None:
        if wish == "leave" or (wish and self.over):
            self.exit("left")
        elif wish in _WISHES and wish in self._wishes and self._ask is not None:
            self.shown.asked = _WISHES[wish]
            self._ask(wish)
