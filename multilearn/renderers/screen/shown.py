"""What is on the screen: the runs, and how they are looked at."""

from __future__ import annotations

from dataclasses import dataclass

from multilearn.events import MetricInfo, Split
from multilearn.renderers.board import Board
from multilearn.renderers.charts import View
from multilearn.renderers.notation import duration, first_line, rate
from multilearn.renderers.screen.facts import RunFacts
from multilearn.renderers.screen.looks import DARK, Looks
from multilearn.renderers.screen.output import OutputTail

__all__ = ["MOST", "Run", "Shown"]

MOST = 6
"""Charts at once."""
_TALL, _SHORT = 11, 7  # lines that a chart should have, and has if several are asked for


@dataclass
class Run:
    """A run on the screen: `board` is None until it begins; `over`: nothing more comes of it; `live`: whether what
    comes is new, so that times mean something."""

    name: str
    board: Board | None = None
    facts: RunFacts | None = None
    over: bool = False
    live: bool = True
    problem: str | None = None

    def settle(self, now: float, over: bool, problem: str | None) -> None:
        """Nothing has come for a moment: what comes from here on is new. `over`: nothing will; `problem`: why."""
        self.over, self.problem = over, problem
        if not self.live and self.board is not None:
            self.live = True
            self.board.state.resume_clock(now)

    @property
    def state(self) -> str:
        if self.problem is not None:
            return f"failed: {first_line(self.problem)}"
        if self.board is None:
            return "no run" if self.over else "waiting"
        state = self.board.state
        if (finished := state.finished) is not None:
            if finished.error is not None:
                return f"failed: {first_line(finished.error)}"
            return "completed" if finished.reason is None else f"stopped: {first_line(finished.reason)}"
        if self.over:
            return "the process was killed"
        return "validating" if state.split is Split.VALID else "training"

    @property
    def left(self) -> str:
        """The time to its end, if it is known."""
        if self.board is None or self.over or self.board.state.finished is not None or not self.live:
            return ""
        seconds = self.board.state.remaining
        return "" if seconds is None else f"{duration(seconds)} left"

    @property
    def speed(self) -> str:
        found = None if self.board is None or not self.live else self.board.state.rate
        return "" if found is None else rate(found)


@dataclass
class Shown:
    """What is looked at, and how. `several`: as many charts as there is room for, None for as it fits; `many`: how many
    that are. `asked`: what the training was asked for."""

    runs: list[Run]
    output: OutputTail
    looks: Looks = DARK
    metric: int = 0
    view: View = View.ALL
    log: bool = False
    several: bool | None = None
    asked: str = ""
    watching: bool = False
    many: int = 1

    def charts_in(self, lines: int, wide: bool) -> int:
        """How many charts there are in so many lines."""
        if self.several is False or (self.several is None and not wide):
            return 1
        return max(1, min(len(self.names), MOST, lines // (_TALL if self.several is None else _SHORT)))

    @property
    def boards(self) -> list[tuple[str, Board]]:
        return [(run.name, run.board) for run in self.runs if run.board is not None]

    @property
    def names(self) -> list[str]:
        """The plotted metrics of all runs."""
        return list(dict.fromkeys(name for _, board in self.boards for name in board.names))

    @property
    def infos(self) -> dict[str, MetricInfo]:
        return {name: info for _, board in reversed(self.boards) for name, info in board.infos.items()}
