"""What is shown of a run, without a terminal: the fold of its events, and the charts of it."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.run_events import ACCURACY, LOSS, RATE, WORDS, events

from multilearn.events import (
    Attached,
    EpochEnded,
    Event,
    Finished,
    MetricInfo,
    Position,
    Reading,
    Saved,
    Split,
    SplitEnded,
    Started,
    Stepped,
)
from multilearn.history import History
from multilearn.plots.canvas import Line
from multilearn.renderers.board import Board
from multilearn.renderers.charts import TERMINAL, View, arrangement, chart, side_by_side
from multilearn.renderers.history_charts import say_with_charts

NAMES = ("Loss", "Accuracy", "a\x1b[31m name\nthat is long " * 3)
VALUES = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
COUNTS = st.integers(1, 40)


def board(*rest: Event, **more: object) -> Board:
    first, *others = events(**more)  # type: ignore[arg-type]
    assert isinstance(first, Started)
    made = Board(first, 0.0)
    for number, event in enumerate((*others, *rest), 1):
        made.take(event, number / 100)
    return made


def written(lines: list[Line]) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in lines)


# --- the board


def test_x_counts_epochs() -> None:
    x, y = board(epochs=2, batches=4).batches["LearningRate"].recent()
    assert x.tolist() == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert y == pytest.approx([1e-3 * (1 + math.cos(math.pi * k / 8)) / 2 for k in range(1, 9)])


def test_x_counts_batches_until_the_first_epoch_has_said_how_long_it_is() -> None:
    all_events = list(events(epochs=2, batches=4, known=False))
    made = Board(all_events[0], 0.0)  # type: ignore[arg-type]
    for event in all_events[1:4]:
        made.take(event, 0.0)
    assert not made.in_epochs and made.batches["Loss"].recent()[0].tolist() == [1.0, 2.0, 3.0]
    for event in all_events[4:]:
        made.take(event, 0.0)
    assert made.in_epochs
    assert made.batches["Loss"].recent()[0].tolist() == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


def test_the_best_value_is_the_first_of_those_that_are_best_in_the_metrics_own_way() -> None:
    made = board(epochs=1, batches=1, infos=(LOSS, ACCURACY, RATE, WORDS))
    for epoch, loss in enumerate([0.5, math.nan, 0.25, 0.25, 0.75], 2):
        made.take(SplitEnded(Split.VALID, epoch, {"Loss": Reading(loss), "Accuracy": Reading(loss)}), 0.0)
    first = made.epochs(Split.VALID, "Accuracy")[1]
    assert made.best(Split.VALID, "Loss") == min((0.25, 4), (made.epochs(Split.VALID, "Loss")[1], 1))
    assert made.best(Split.VALID, "Accuracy") == max((first, 1), (0.75, 6))
    assert made.best(Split.TRAIN, "LearningRate") is None and made.best(Split.VALID, "LearningRate") is None


@pytest.mark.parametrize(
    ("last", "share"), [(Finished(Position(4)), 1.0), (Finished(Position(2), "SIGINT"), 1.0), (EpochEnded(4), 1.0)]
)
def test_the_share_of_a_run_that_came_to_its_end(last: Event, share: float) -> None:
    assert board(last).share == share


def test_the_share_of_a_run_that_goes_on() -> None:
    made = Board(next(iter(events())), 0.0)  # type: ignore[arg-type]
    assert made.share == 0.0
    made.take(Stepped(Split.TRAIN, 2, 5, 30, 1e-3, {}), 0.1)
    assert made.share == pytest.approx((1 + 5 / 25) / 4)
    made.take(Stepped(Split.VALID, 2, 1, 50, None, {}), 0.1)
    assert made.share == pytest.approx(2 / 4)


def test_texts_and_pictures_are_kept() -> None:
    text, image = Attached(1, "notes", "fine"), Attached(2, "sample", None, b"\x89PNG")
    assert board(text, image).attached == [text, image]


# --- charts


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    infos = tuple(
        MetricInfo(name, draw(st.sampled_from(["", "share", "GiB"])), plotted=draw(st.booleans()), better="lowest")
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
    )
    metrics = {Split.TRAIN: (*infos, WORDS), Split.VALID: infos[:1]}
    length = draw(st.none() | COUNTS)
    position = draw(st.sampled_from([Position(0), Position(2), Position(1, 3)]))
    history = {Split.VALID: {info.name: {1: draw(VALUES), 2: 0.5} for info in infos}}
    found: list[Event] = [Started(Path("runs/x"), draw(COUNTS), position, {Split.TRAIN: length}, metrics, history)]
    update = 0
    for _ in range(draw(st.integers(0, 6))):
        epoch, split = draw(st.integers(1, 5)), draw(st.sampled_from([Split.TRAIN, Split.VALID]))
        for batch in range(1, draw(COUNTS)):
            update += 1
            readings = {info.name: Reading(draw(VALUES)) for info in infos} if batch < 4 else {}
            found.append(Stepped(split, epoch, batch, update, 0.1, {**readings, "Words": Reading("a\nb")}))
        found.append(SplitEnded(split, epoch, {info.name: Reading(draw(VALUES)) for info in infos}))
        found.append(draw(st.sampled_from([EpochEnded(epoch), Saved(Position(epoch)), Finished(Position(epoch))])))
    return found


@settings(deadline=None, max_examples=60)
@given(streams(), st.integers(10, 300), st.integers(5, 100), st.sampled_from(View), st.booleans())
def test_any_run_is_drawn_at_any_size(found: list[Event], width: int, height: int, view: View, log: bool) -> None:
    first = found[0]
    assert isinstance(first, Started)
    made = Board(first, 0.0)
    for number, event in enumerate(found[1:]):
        made.take(event, number / 10)
    for name in (*made.names, "unknown"):
        for boards in ([("", made)], [("one", made), ("other\n", made)]):
            lines = chart(boards, name, (width, height), TERMINAL, view=view, log=log)
            assert [sum(segment.cell_length for segment in line) for line in lines] == [width] * height
            assert written(lines).replace("\n", "").isprintable()


def test_a_chart_has_both_splits_and_their_newest_values() -> None:
    text = written(chart([("", board())], "Accuracy", (80, 12), TERMINAL))
    exact = 1 - math.exp(-4) * (0.9 + 0.05 * math.sin(97))
    assert text.splitlines()[0].split() == f"Accuracy ━ train {100 * exact:.2f} % ━ valid {100 * exact:.2f} %".split()
    assert text.count("●") == 4 and "100% ┤" in text and "epoch" in text


def test_the_views_of_a_long_run() -> None:
    made = board(epochs=40, batches=100)
    tenth = written(chart([("", made)], "Loss", (100, 12), TERMINAL, view=View.TENTH)).splitlines()
    assert "last tenth" in tenth[0] and tenth[-1].split() == ["36", "37", "38", "39", "epoch"]
    recent = written(chart([("", made)], "Loss", (100, 12), TERMINAL, view=View.RECENT)).splitlines()
    assert "last 1,000 batches" in recent[0] and recent[-1].split()[0] == "31"  # the first batch is at 30.01


def test_a_log_axis_is_for_what_is_no_share() -> None:
    made = board()
    assert " log" in written(chart([("", made)], "Loss", (80, 12), TERMINAL, log=True))
    assert " log" not in written(chart([("", made)], "Accuracy", (80, 12), TERMINAL, log=True))


def test_several_runs_in_one_chart_are_named() -> None:
    other = board(epochs=8)
    text = written(chart([("one", board()), ("two", other)], "Loss", (90, 12), TERMINAL))
    assert "━ one" in text and "━ two" in text and text.count("●") == 12


def test_the_curve_before_a_resume_is_there_too() -> None:
    first = next(iter(events()))
    assert isinstance(first, Started)
    history = {Split.TRAIN: {"Loss": {1: 3.0, 2: 1.0}}, Split.VALID: {"Loss": {1: 2.0, 2: 1.5}}}
    made = Board(replace(first, position=Position(2), history=history), 0.0)
    made.take(Stepped(Split.TRAIN, 3, 1, 51, 1e-3, {"Loss": Reading(0.5)}), 0.0)
    assert written(chart([("", made)], "Loss", (80, 12), TERMINAL)).count("●") == 4


@given(st.integers(1, 12), st.integers(20, 300), st.integers(5, 120))
def test_charts_that_are_arranged_fit(count: int, width: int, height: int) -> None:
    found = arrangement(count, width, height)
    if found is None:
        assert width < 38 or height < 7 * math.ceil(count / max(1, (width + 2) // 40))
        return
    columns, lines = found
    assert math.ceil(count / columns) * lines <= height and columns * 38 + 2 * (columns - 1) <= width
    one = [[], *[[] for _ in range(lines - 1)]]
    assert len(side_by_side([one] * count, columns, width)) == math.ceil(count / columns) * lines


# --- the summary


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def history(epochs: int) -> History:
    made = History()
    for epoch in range(1, epochs + 1):
        made = made.with_epoch(Split.TRAIN, epoch, {"Loss": 1 / epoch})
        made = made.with_epoch(Split.VALID, epoch, {"Loss": 2 / epoch})
    return made


@pytest.mark.parametrize(("epochs", "charted"), [(0, False), (1, False), (3, True)])
def test_a_summary_ends_with_charts_on_a_terminal(monkeypatch: pytest.MonkeyPatch, epochs: int, charted: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    metrics = {Split.TRAIN: [LOSS], Split.VALID: [LOSS, ACCURACY]}
    out = Screen()
    say_with_charts("summary", history(epochs), metrics, out)
    assert out.getvalue().startswith("summary\n") and ("●" in out.getvalue()) is charted
    assert out.getvalue().count("Loss") == charted and "Accuracy" not in out.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_summary_that_is_piped_has_no_charts(stream: io.StringIO | None) -> None:
    say_with_charts("summary", history(3), {Split.VALID: [LOSS]}, stream)
    assert stream is None or stream.getvalue() == "summary\n"


def test_a_summary_on_a_terminal_without_braille_has_no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Screen()
    out.encoding = "ascii"  # type: ignore[misc]
    say_with_charts("summary", history(3), {Split.VALID: [LOSS]}, out)
    assert out.getvalue() == "summary\n"


def test_means_over_many_batches_lie_within_their_band() -> None:
    x, mean, least, greatest = board(epochs=40, batches=100).batches["Loss"].all()
    assert len(x) <= 1024 and np.all((least <= mean) & (mean <= greatest))
