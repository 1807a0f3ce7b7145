"""The tables of the screen: where runs are, and the values of their metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from multilearn.events import Split
from multilearn.plots.canvas import Line
from multilearn.printable import printable
from multilearn.renderers.board import Board
from multilearn.renderers.notation import abridged, duration, shown
from multilearn.renderers.screen.looks import Looks
from multilearn.renderers.screen.panes import of_state, tail
from multilearn.renderers.screen.shown import Shown

__all__ = ["side", "values"]

_NAME, _NUMBER, _AT, _EPOCH = 15, 11, 5, 9
_SPLITS = (Split.TRAIN, Split.VALID)


def values(shown_: Shown, width: int, height: int) -> list[Line]:
    """A row for each metric: what it is now and what it was at best, on both splits."""
    boards, looks = shown_.boards, shown_.looks
    if len(boards) != 1:
        return _of_runs(shown_, width, height)
    board = boards[0][1]
    splits = [split for split in _SPLITS if board.state.started.metrics.get(split)]
    room = max(8, width - (2 * _NUMBER + _AT + 1) * len(splits))
    longest = min(room, max((cell_len(printable(name)) for name in board.infos), default=4))
    line = [Segment(" " * longest)]
    for split in splits:
        line += [
            Segment(f"{split.value:>{_NUMBER}}", _colour(split, looks)),
            Segment(f"{'best':>{_NUMBER}}", looks.faint),
        ]
        line.append(Segment(" " * (_AT + 1)))
    rows, chosen = [line], _chosen(shown_)
    for name in _window(list(board.infos), chosen, height - 1):
        row = [Segment(set_cell_size(abridged(name, longest), longest), looks.bold if name == chosen else Style())]
        row += [segment for split in splits for segment in _pair(board, split, name, looks)]
        rows.append(row)
    return rows


def side(shown_: Shown, width: int, height: int) -> list[Line]:
    """Where the run is, then the values of each split."""
    boards, looks = shown_.boards, shown_.looks
    if len(boards) != 1:
        return _of_runs(shown_, width, height)
    run, board = next(run for run in shown_.runs if run.board is not None), boards[0][1]
    state = board.state
    facts = [
        ("state", shown_.asked if shown_.asked and state.finished is None and not run.over else run.state),
        ("epoch", f"{state.epoch} of {state.started.epochs}"),
        ("updates", f"{board.update:,}"),
        ("learning rate", "-" if state.learning_rate is None else f"{state.learning_rate:.3g}"),
        ("speed", run.speed or "-"),
        ("elapsed", duration(time.monotonic() - state.begun) if run.live and not run.over else "-"),
        ("left", run.left.removesuffix(" left") or "-"),
        ("checkpoint", "-" if state.saved is None else str(state.saved)),
    ]
    rows: list[Line] = [
        [Segment(f"{name:{_NAME}}", looks.faint), Segment(text, of_state(run, looks) if name == "state" else Style())]
        for name, text in facts
    ]
    splits = [split for split in _SPLITS if state.started.metrics.get(split)]
    room = max(1, (height - len(rows)) // max(1, len(splits)) - 2)
    for split in splits:
        title = f"{split.value:{_NAME}}"
        rows += [
            [],
            [Segment(title, _colour(split, looks)), Segment(f"{'now':>{_NUMBER}}{'best':>{_NUMBER}}", looks.faint)],
        ]
        names = [info.name for info in state.started.metrics[split]]
        for name in _window(names, _chosen(shown_), room):
            style = looks.bold if name == _chosen(shown_) else Style()
            label = Segment(set_cell_size(abridged(name, _NAME - 1), _NAME), style)
            rows.append([label, *_pair(board, split, name, looks)])
    return rows


def _of_runs(shown_: Shown, width: int, height: int) -> list[Line]:
    """Of several runs: how far each is, and the chosen metric, now and at best; a name that is too long for that has a
    line of its own."""
    name, looks = _chosen(shown_), shown_.looks
    names = [printable(run.name) for run in shown_.runs]
    longest = max(8, width - _EPOCH - 2 * _NUMBER - _AT - 1)
    apart = max(map(cell_len, names)) > longest and height > 2 * len(names)
    heads = [Segment(f"{'epoch':>{_EPOCH}}{'now':>{_NUMBER}}{'best':>{_NUMBER}}", looks.faint)]
    rows: list[Line] = [[Segment(set_cell_size(abridged(name, longest) if name else "", longest), looks.bold), *heads]]
    for number, (run, called) in enumerate(zip(shown_.runs, names, strict=True)):
        colour = looks.palette.of(number, len(names))[2]
        if apart:
            rows.append([Segment(tail(called, width), colour)])
        row = [Segment(" " * longest if apart else set_cell_size(tail(called, longest), longest), colour)]
        if run.board is None:
            row.append(Segment(f"  {run.state}", looks.faint))
        else:
            split = Split.VALID if run.board.epochs(Split.VALID, name) else Split.TRAIN
            row.append(Segment(f"{f'{run.board.state.epoch}/{run.board.state.started.epochs}':>{_EPOCH}}"))
            row += _pair(run.board, split, name, looks) if name in run.board.infos else []
        rows.append(row)
    return rows[:height]


def _pair(board: Board, split: Split, name: str, looks: Looks) -> Line:
    """The value now, and the best one with its epoch."""
    info = board.infos[name]
    value = board.state.values.get(split, {}).get(name)
    style = Style() if split in board.state.current else looks.faint
    if value is None and all(info.name != name for info in board.state.started.metrics.get(split, ())):
        return [Segment(" " * (2 * _NUMBER + _AT + 1))]
    if not info.numeric:
        return [Segment(set_cell_size(f" {'-' if value is None else shown(value)}", 2 * _NUMBER + _AT + 1), style)]
    best = board.best(split, name)
    told = (
        " " * (_NUMBER + _AT + 1) if best is None else f"{shown(best[0], info.unit):>{_NUMBER}} @{best[1]:<{_AT - 1}}"
    )
    now = "-" if value is None else shown(value, info.unit)
    return [Segment(f"{now:>{_NUMBER}}", style), Segment(told, looks.faint)]


def _chosen(shown_: Shown) -> str:
    names = shown_.names
    return names[shown_.metric % len(names)] if names else ""


def _colour(split: Split, looks: Looks) -> Style:
    return looks.palette.train if split is Split.TRAIN else looks.palette.valid


def _window(names: Sequence[str], chosen: str, room: int) -> Sequence[str]:
    """As many as there is room for, the chosen one among them."""
    at = names.index(chosen) if chosen in names else 0
    first = min(max(0, at - room // 2), max(0, len(names) - room))
    return names[first : first + max(0, room)]
