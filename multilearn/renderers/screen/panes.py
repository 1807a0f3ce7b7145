"""The parts of the screen as lines of styled text, each from what there is to show and how much room it has."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from multilearn.plots.canvas import Line
from multilearn.printable import printable
from multilearn.renderers.charts import chart
from multilearn.renderers.notation import abridged
from multilearn.renderers.screen.looks import Looks
from multilearn.renderers.screen.shown import Run, Shown
from multilearn.storage.location import readable

__all__ = ["bar", "head", "keys", "metric_chart", "of_state", "prints", "tabs", "tail"]


def head(shown_: Shown, width: int, height: int) -> list[Line]:
    """The directory, and where it is trained."""
    runs = [run for run in shown_.runs if run.board is not None]
    if not runs:
        place, facts = "waiting for the run to begin", ""
    elif len(shown_.runs) > 1:
        place, facts = f"{len(shown_.runs)} runs", ""
    else:
        board, found = runs[0].board, runs[0].facts
        place = printable(readable(board.state.started.directory)) if board is not None else ""
        facts = found.line if found is not None else ""
    room = width - cell_len("multilearn") - 2 - cell_len(facts) - 2
    if room < 16:
        room, facts = width - cell_len("multilearn") - 2, ""
    place = set_cell_size(tail(place, room), room)
    return [[Segment("multilearn", shown_.looks.accent), Segment(f"  {place}  "), Segment(facts, shown_.looks.faint)]]


def tabs(shown_: Shown, width: int, height: int) -> list[Line]:
    """The names of the metrics, the chosen one always among them; an arrow where there are more."""
    names, chosen, looks = [printable(name) for name in shown_.names], shown_.metric, shown_.looks
    names = [abridged(name, max(8, width - 8)) for name in names]
    first = 0
    while first < chosen and sum(cell_len(name) + 3 for name in names[first : chosen + 1]) > width - 4:
        first += 1
    line, used = [Segment("◂ " if first else "  ", looks.faint)], 2
    for at, name in enumerate(names[first:], start=first):
        if used + cell_len(name) + 3 > width - 1:
            line.append(Segment("▸", looks.faint))
            break
        line += [Segment(f" {name} ", looks.chosen if at == chosen else looks.faint), Segment(" ")]
        used += cell_len(name) + 3
    return [line]


def metric_chart(shown_: Shown, at: int, width: int, height: int) -> list[Line]:
    """Of the chosen metric, or of one `at` places after it."""
    names = shown_.names
    if not names:
        text = "no metric is plotted" if shown_.boards else "starting: the first step may have to be compiled"
        return [[], [Segment(f"  {text}", shown_.looks.faint)]] if at == 0 else []
    name = names[(shown_.metric + at) % len(names)]
    return chart(shown_.boards, name, (width, height), shown_.looks.palette, view=shown_.view, log=shown_.log)


def prints(shown_: Shown, width: int, height: int) -> list[Line]:
    """The last lines of what the script prints."""
    lines = shown_.output.lines
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return [
            [Segment("what the script prints appears here, and on the ordinary screen afterwards", shown_.looks.faint)]
        ]
    return [[Segment(line)] for line in lines[-height:]]


def bar(shown_: Shown, width: int, height: int) -> list[Line]:
    """How far the run is, how fast it goes, and how long still."""
    boards, looks = shown_.boards, shown_.looks
    if not boards:
        return []
    if len(shown_.runs) > 1:
        states = [run.state.partition(":")[0] for run in shown_.runs]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return [[Segment(counted, looks.bold)]]
    run, board = shown_.runs[0], boards[0][1]
    state = board.state
    if state.finished is not None or run.over:
        where = set_cell_size(run.state, min(cell_len(run.state), width // 2))
    else:
        where = f"epoch {state.epoch}/{state.started.epochs} {state.split.value} {state.batch}/{state.total or '?'}"
    after = f"  {100 * board.share:3.0f} %" + (f"  {run.speed:>15}  {run.left:>12}" if width >= 60 else "")
    room = max(4, width - cell_len(where) - 2 - len(after))
    halves = int(board.share * room * 2)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    style = looks.accent if state.finished is None and not run.over else of_state(run, looks)
    return [
        [
            Segment(f"{where}  ", looks.bold),
            Segment(done, style),
            Segment("━" * (room - len(done)), looks.rest),
            Segment(after),
        ]
    ]


def keys(shown_: Shown, width: int, height: int) -> list[Line]:
    """What keys do, as many as fit."""
    known = [
        ("q", "leave"),
        ("←→", "metric"),
        ("↑↓", shown_.view.value),
        ("y", "linear" if shown_.log else "log"),
        ("g", "one" if shown_.many > 1 else "several"),
        *([] if shown_.output.path is None else [("o", "output")]),
        ("i", "info"),
        ("a", "notes"),
        ("t", "light" if shown_.looks.dark else "dark"),
    ]
    line: Line = []
    used = 0
    for key, what in known:
        if used + len(key) + len(what) + 1 > width:
            break
        line += [Segment(key, shown_.looks.bold), Segment(f" {what}  ", shown_.looks.faint)]
        used += len(key) + len(what) + 3
    return [line]


def of_state(run: Run, looks: Looks) -> Style:
    """How a state is written: a bad end, a good one, or none yet."""
    if run.state.startswith(("failed", "the process")):
        return looks.bad
    return looks.good if run.state == "completed" else looks.bold


def tail(text: str, room: int) -> str:
    """Its end tells paths apart."""
    return text if cell_len(text) <= room else f"...{text[max(0, len(text) - room + 3) :]}"
