from __future__ import annotations

import io
import math
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilearn.events import (
    START,
    EpochEnded,
    Evaluating,
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
from multilearn.renderers import CliRenderer, Renderer, SilentRenderer, sparkline
from multilearn.renderers.lines import EvaluationLine, Lines
from multilearn.renderers.notation import BLOCKS, shown
from multilearn.renderers.run_state import RunState
from multilearn.renderers.stream import ForgivingStream

NAN, INF = float("nan"), float("inf")
LOSS, ACCURACY = MetricInfo("Loss", plotted=True), MetricInfo("Accuracy", "share", plotted=True)
WORDS = MetricInfo("Words", numeric=False)


def started(epochs: int = 3, position: Position = START, train: int | None = 10, **more) -> Started:
    metrics = {Split.TRAIN: (LOSS, ACCURACY, WORDS), Split.VALID: (LOSS, ACCURACY)}
    fields = {"metrics": metrics, "history": {}, "batches": {Split.TRAIN: train, Split.VALID: 2}} | more
    return Started(Path("runs/digits"), epochs, position, **fields)


def readings(epoch: int) -> dict[str, Reading]:
    loss, share = 1 / 2**epoch, 1 - 1 / 2**epoch
    return {
        "Loss": Reading(loss, 64, loss),
        "Accuracy": Reading(share, 64, share),
        "Words": Reading("the\nquick\x1b[31m fox"),
    }


def epoch_of_events(epoch: int, train: int = 10) -> Iterator[Stepped | SplitEnded | EpochEnded]:
    for split, batches in ((Split.TRAIN, train), (Split.VALID, 2)):
        for batch in range(1, batches + 1):
            yield Stepped(split, epoch, batch, batch, 1e-3, readings(epoch))
        yield SplitEnded(split, epoch, readings(epoch))
    yield EpochEnded(epoch)


def show(renderer: Renderer, epochs: int = 3) -> None:
    renderer.render(started(epochs))
    for epoch in range(1, epochs + 1):
        for event in epoch_of_events(epoch):
            renderer.render(event)
    renderer.render(Finished(Position(epochs)))
    renderer.close()


class Terminal:
    """The far end of a pseudo-terminal, read while the near end is written to."""

    def __init__(self, encoding: str, lines: int) -> None:
        self._leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (lines, 80))
        self.before = termios.tcgetattr(follower)
        self.stream: TextIO = open(follower, "w", encoding=encoding)  # noqa: SIM115
        self.text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.text += os.read(self._leader, 65536).decode(self.stream.encoding, "replace")
            except OSError:
                return

    def end(self) -> None:
        self.after = termios.tcgetattr(self.stream)
        self.stream.close()
        self._reader.join()
        os.close(self._leader)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8", lines: int = 10) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    opened = Terminal(encoding, lines)
    try:
        yield opened
    finally:
        opened.end()


# --- lines


def test_a_pipe_gets_one_line_per_epoch_and_one_at_each_end() -> None:
    out = io.StringIO()
    lines = Lines(ForgivingStream(out), started(), 0.0)
    for epoch, begun in ((1, 0.0), (2, 2.5)):
        for event in epoch_of_events(epoch):
            validated = isinstance(event, EpochEnded) or event.split is Split.VALID
            lines.render(event, begun + (2.5 if validated else 2.0))
    lines.render(Finished(Position(2), "no better valid Loss for 1 epoch\nsince 1"), 5.0)
    assert out.getvalue() == (
        "training for 3 epochs, in runs/digits\n"
        "epoch 1/3  train Loss 0.5000  Accuracy 50.00 %  Words the quick\\x1b[31m fox"
        "  valid Loss 0.5000  Accuracy 50.00 %  2.5 s  5.0 batches/s\n"
        "epoch 2/3  train Loss 0.2500  Accuracy 75.00 %  Words the quick\\x1b[31m fox"
        "  valid Loss 0.2500  Accuracy 75.00 %  2.5 s  5.0 batches/s\n"
        "stopped after epoch 2: no better valid Loss for 1 epoch\n"
    )


def stepped(split: Split, batch: int, loss: float) -> Stepped:
    return Stepped(split, 1, batch, batch, 0.1, {"Loss": Reading(9.0, 8, loss), "AUROC": Reading(0.5)}, 8)


def test_a_long_epoch_says_once_a_minute_how_far_it_is() -> None:
    """Batches of 2 s in training and of 4 s in validation: in 130 and in 100 seconds there are two lines and one."""
    out = io.StringIO()
    lines = Lines(ForgivingStream(out), started(batches={Split.TRAIN: 65}), 0.0)
    for batch in range(1, 66):
        lines.render(stepped(Split.TRAIN, batch, 1 / batch), 2.0 * batch)
    lines.render(SplitEnded(Split.TRAIN, 1, {"Loss": Reading(0.5)}), 130.0)
    for batch in range(1, 26):
        lines.render(stepped(Split.VALID, batch, 0.25), 130.0 + 4 * batch)
    lines.render(EpochEnded(1), 230.0)
    lines.render(Stepped(Split.TRAIN, 2, 1, 66, 0.1, {"Loss": Reading(0.1, 8, 0.1)}, 8), 289.0)
    assert out.getvalue().splitlines()[1:] == [
        "epoch 1/3  train  30/65  Loss 0.0333  2.0 s/batch",
        "epoch 1/3  train  60/65  Loss 0.0167  2.0 s/batch",
        "epoch 1/3  valid  13 batches  Loss 0.2500  4.0 s/batch",
        "epoch 1/3  train Loss 0.5000  3:50  2.0 s/batch",
    ]


def test_a_long_evaluation_in_a_pipe_says_so_too() -> None:
    out = io.StringIO()
    infos = (MetricInfo("Loss"),)
    line = EvaluationLine(ForgivingStream(out), Evaluating(Path("run"), "test", None, 100, infos), 0.0, live=False)
    for batch in range(1, 101):
        line.render(Stepped(Split.TEST, 1, batch, 0, None, {"Loss": Reading(1.0, 8, 2.0)}, 8), float(batch))
    line.render(SplitEnded(Split.TEST, 1, {"Loss": Reading(1.5)}), 100.0)
    assert out.getvalue().splitlines() == [
        "test test  60/100  Loss 2.0000  1.0 batches/s",
        "test test  Loss 1.5000  1:40",
    ]


@pytest.mark.parametrize(
    ("position", "line"),
    [
        (START, "training for 3 epochs, in runs/digits"),
        (Position(1), "resuming with epoch 2 of 3, in runs/digits"),
        (Position(2, 4), "resuming in epoch 2 of 3, after 4 of 10 batches, in runs/digits"),
        (Position(3), "nothing left to do: 3 epochs done, in runs/digits"),
    ],
)
def test_the_first_line_says_where_the_run_starts(position: Position, line: str) -> None:
    out = io.StringIO()
    CliRenderer(out).render(started(position=position))
    assert out.getvalue() == f"{line}\n"


@pytest.mark.parametrize(
    ("begun", "ended", "line"),
    [
        (START, Finished(Position(1)), "completed 1 epoch in 1:15"),
        (START, Finished(Position(3)), "completed 3 epochs in 1:15"),
        (START, Finished(Position(2, 7), "SIGINT"), "stopped in epoch 2 after 7 batches: SIGINT"),
        (START, Finished(START, "SIGTERM"), "stopped before the first batch: SIGTERM"),
        (
            START,
            Finished(Position(1, 1), None, "NonFiniteLoss: NaN\nmore"),
            "failed in epoch 1 after 1 batch: NonFiniteLoss: NaN",
        ),
        (Position(2), Finished(Position(3)), "completed 3 epochs, the last 1 in 1:15"),
        (Position(2, 7), Finished(Position(3)), "completed 3 epochs, the last 2 in 1:15"),
        (Position(3), Finished(Position(3)), "completed 3 epochs before"),
        (
            START,
            Finished(Position(2, 8), "SIGINT"),  # where a checkpoint is
            'stopped in epoch 2 after 8 batches: SIGINT; .checkpoint("latest") resumes from here',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_last_line_says_how_it_ended(begun: Position, ended: Finished, line: str) -> None:
    out = io.StringIO()
    lines = Lines(ForgivingStream(out), started(position=begun), 100.0)
    lines.render(Saved(Position(2, 8)), 170.0)
    lines.render(ended, 175.0)
    assert out.getvalue().splitlines()[-1] == line


def test_standard_output_is_looked_up_when_the_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, out = CliRenderer(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    show(renderer, 2)
    show(renderer, 2)
    assert len(out.getvalue().splitlines()) == 2 * 4


def test_what_an_encoding_cannot_show_is_replaced() -> None:
    raw = io.BytesIO()
    renderer = CliRenderer(io.TextIOWrapper(raw, "ascii", line_buffering=True))
    renderer.render(started(metrics={Split.TRAIN: (MetricInfo("Größe"),)}))
    renderer.render(SplitEnded(Split.TRAIN, 1, {"Größe": Reading(1.0)}))
    renderer.render(EpochEnded(1))
    assert b"train Gr??e 1.0000" in raw.getvalue()


def test_a_reader_that_went_away_does_not_fail_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = open(writing, "w")  # noqa: SIM115
    show(CliRenderer(stream))
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_lines_need_no_rich() -> None:
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "from multilearn.renderers import CliRenderer\n"
        "from multilearn.events import Started, Split\nfrom multilearn.events import START\n"
        "CliRenderer().render(Started('here', 2, START, {}, {}, {}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "training for 2 epochs, in here\n"


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        monkeypatch.setenv("TERM", "dumb")
        show(CliRenderer(screen.stream))
    assert "\x1b" not in screen.text and screen.text.count("\r\n") == 5


# --- the live block


def test_a_terminal_gets_one_block_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    with terminal(monkeypatch) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started(history={Split.TRAIN: {"Loss": {1: 2.0, 2: 1.0}}}, position=Position(2)))
        monkeypatch.setattr("multilearn.renderers.live._REFRESH_SECONDS", 0.0)
        monkeypatch.setattr("multilearn.renderers.live._DRAWING_SHARE", 1e9)
        monkeypatch.setattr("multilearn.renderers.run_state._BURST_SECONDS", 0.0)
        for event in epoch_of_events(3):
            renderer.render(event)
        assert threading.active_count() == threads + 1  # the reader of the terminal is one
        renderer.render(Finished(Position(3)))
        renderer.close()
    for part in ("resuming with epoch 3 of 3", "epoch 3/3", "7/10", "batches/s", "left", "learning rate 0.001"):
        assert part in screen.text
    for part in ("87.50 %", "0.1250", "█▄▁", "completed 3 epochs"):
        assert part in screen.text.rpartition("train")[2]


def test_a_terminal_with_room_gets_a_chart_of_each_plotted_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, lines=24) as screen:
        show(CliRenderer(screen.stream))
    last = screen.text.rpartition(" Loss")[2]
    assert "━ train 0.1250" in last and "━ 87.50 %" in last and "●" in last
    assert "the quick" in last and "completed 3 epochs" in last  # what has no chart has a row


def test_before_a_summary_the_charts_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, lines=24) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started())
        for event in epoch_of_events(1):
            renderer.render(event)
        renderer.render(Finished(Position(1), summary=True))
        renderer.close()
    assert "●" not in screen.text.rpartition("train  ")[2]


def test_how_it_ended_is_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "the file that the watchdog of the cluster looks at says that no space is left on the device of the runs"
    with terminal(monkeypatch) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started())
        renderer.render(Finished(Position(1, 5), said))
        renderer.close()
    assert said in " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.text).split())


@pytest.mark.parametrize("more", [(), (WORDS,)])
def test_variants_of_a_metric_are_told_apart_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, more: tuple[MetricInfo, ...]
) -> None:
    names = [f"AveragePrecision(multiclass, {average})" for average in ("macro", "micro")]
    infos = *(MetricInfo(name, "share", plotted=True) for name in names), *more
    values = {name: Reading(0.25 * at, None, 0.25 * at) for at, name in enumerate(names, 1)} | {
        "Words": Reading("the quick brown fox jumps")
    }
    with terminal(monkeypatch) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started(1, metrics={Split.TRAIN: infos, Split.VALID: infos}))
        for split in (Split.TRAIN, Split.VALID):
            renderer.render(SplitEnded(split, 1, values))
        renderer.render(EpochEnded(1))
        renderer.render(Finished(Position(1)))
        renderer.close()
    rows = [line for line in screen.text.rsplit("train", 1)[1].splitlines() if "25.00 %" in line or "50.00 %" in line]
    assert [" macro)" in row for row in rows] == [True, False]
    assert [" micro)" in row for row in rows] == [False, True]
    assert all(row.count(".00 %") == 2 and row.count(BLOCKS[3]) == 2 for row in rows)


def test_the_terminal_is_given_back_however_the_run_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = sys.stdout, sys.stderr
    with terminal(monkeypatch) as screen:
        monkeypatch.setattr(sys, "stdout", screen.stream)
        renderer = CliRenderer()

        def fit() -> None:
            renderer.render(started())
            renderer.render(Stepped(Split.TRAIN, 1, 1, 1, 0.1, readings(1)))
            assert sys.stdout is not screen.stream
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            renderer.host(fit)
        renderer.close()
        renderer.close()
        assert sys.stdout is screen.stream
        monkeypatch.undo()
    assert (sys.stdout, sys.stderr) == streams
    assert screen.after == screen.before
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h") == 1
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")


def test_prints_appear_above_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        monkeypatch.setattr(sys, "stdout", screen.stream)
        renderer = CliRenderer()
        renderer.render(started())
        renderer.render(Stepped(Split.TRAIN, 1, 1, 1, 0.1, readings(1)))
        print("[bold]as it is[/bold]")
        print("unfinished", end="")
        held = sys.stdout  # as a logging handler that was made meanwhile would
        renderer.close()
    assert held is not screen.stream
    said = screen.text.index("[bold]as it is[/bold]")
    assert screen.text.rindex("epoch 1/3") > screen.text.index("unfinished") > said


def test_streams_that_lead_elsewhere_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        renderer = CliRenderer(screen.stream)
        renderer.render(started())
        print("to the pipe")
        assert sys.stderr is err
        renderer.close()
    assert out.getvalue() == "to the pipe\n" and "to the pipe" not in screen.text


def test_many_steps_are_drawn_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started(1, train=500))
        for event in epoch_of_events(1, 500):
            renderer.render(event)
        renderer.close()
    assert 1 <= screen.text.count("epoch 1/1") < 20


def test_a_loader_without_length_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as screen:
        renderer = CliRenderer(screen.stream)
        renderer.render(started(train=None))
        renderer.render(Stepped(Split.TRAIN, 1, 7, 7, None, readings(1)))
        renderer.close()
    assert "7 batches" in screen.text and " left" not in screen.text


def test_a_terminal_that_cannot_show_blocks_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "ascii") as screen:
        show(CliRenderer(screen.stream))
    assert "#-_" in screen.text and screen.text.isascii()


# --- progress


def test_remaining_time_is_what_the_batches_left_will_take() -> None:
    progress, now = RunState(started(3), 0.0), 5.0
    assert progress.remaining is None
    progress.take(Stepped(Split.TRAIN, 1, 1, 1, None, {}), now)
    assert progress.remaining is None  # five seconds of compiling say nothing
    for batch in range(2, 5):
        now += 0.5
        progress.take(Stepped(Split.TRAIN, 1, batch, batch, None, {}), now)
    assert progress.rate == pytest.approx(2.0)
    # 6 batches left of epoch 1, 10 in each of 2 more, and 2 of validation in all three, 0.5 s each
    assert progress.remaining == pytest.approx(0.5 * (6 + 20 + 6))
    progress.take(SplitEnded(Split.TRAIN, 1, {}), now)
    for batch, elapsed in ((1, 0.5), (2, 0.25)):
        now += elapsed
        progress.take(Stepped(Split.VALID, 1, batch, 4, None, {}), now)
    # two more epochs, as long as the first one was: 4 batches of training, 2 of validation
    assert progress.remaining == pytest.approx(2 * (4 * 0.5 + 2 * 0.25))
    progress.take(SplitEnded(Split.VALID, 1, {}), now)
    progress.take(EpochEnded(1), now)
    assert progress.remaining == pytest.approx(2 * (4 * 0.5 + 2 * 0.25))


def test_the_running_value_is_shown_and_at_the_end_the_exact_one() -> None:
    progress = RunState(started(), 0.0)
    progress.take(Stepped(Split.TRAIN, 1, 1, 1, None, {"Loss": Reading(3.0, 64, 2.5)}), 1.0)
    assert progress.values[Split.TRAIN]["Loss"] == 2.5
    progress.take(SplitEnded(Split.TRAIN, 1, {"Loss": Reading(2.25)}), 1.0)
    assert progress.values[Split.TRAIN]["Loss"] == 2.25
    assert progress.curves[Split.TRAIN]["Loss"] == {1: 2.25}


# --- values and curves


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.975, "share", "97.50 %"),
        (1.0, "share", "100.00 %"),
        (0.0, "", "0.0000"),
        (123456.0, "", "1.235e+05"),
        (-0.00012, "", "-1.200e-04"),
        (NAN, "share", "NaN"),
        (-INF, "", "-inf"),
        ("a\tb", "", "a b"),
        ("", "", ""),
    ],
)
def test_values_are_written_for_people(value: float | str, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_long_text_is_cut() -> None:
    assert shown("x" * 100) == "x" * 37 + "..."


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([3.0], 8, "▄"),
        ([1, 1, 1], 8, "▄▄▄"),
        ([0, 7], 8, "▁█"),
        ([0, NAN, 1], 8, "▁ █"),
        ([NAN], 8, " "),
        ([-INF, 0, 1, INF], 8, "▁▁██"),
        ([0, 0, 1, 1], 2, "▁█"),
        ([0, NAN, NAN, NAN, 1, 3], 3, "▁ █"),
        ([1, 2], 0, ""),
        ([-1.7e308, 1.7e308], 8, "▁█"),
        ([0.0, 5e-324], 8, "▄▄"),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


@given(st.lists(st.floats()), st.integers(0, 40))
def test_a_sparkline_never_fails_and_keeps_its_width(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= {*BLOCKS, " "}
    finite = [value for value in values if math.isfinite(value)]
    if len(values) <= width and finite and max(finite) - min(finite) > 1e-300:
        assert line[values.index(min(finite))] == BLOCKS[0]
        assert line[values.index(max(finite))] == BLOCKS[-1]


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "▁▂█ é"), ("cp437", "_.# é"), ("ascii", "_.# ?")])
def test_blocks_are_those_that_the_encoding_has(encoding: str, shown: str) -> None:
    raw = io.BytesIO()
    ForgivingStream(stream := io.TextIOWrapper(raw, encoding)).say("▁▂█ é")
    assert stream.encoding == encoding
    assert raw.getvalue().decode(encoding) == f"{shown}\n"


def test_the_silent_one_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    renderer = SilentRenderer()
    show(renderer)
    assert renderer.host(lambda: 42) == CliRenderer().host(lambda: 42) == 42
    assert capfd.readouterr() == ("", "")
    assert isinstance(renderer, Renderer) and isinstance(CliRenderer(), Renderer)


def test_batches_that_are_told_along_with_the_first_do_not_count_as_fast_ones() -> None:
    progress = RunState(started(1, batches={Split.TRAIN: 300}), 0.0)
    for batch in range(1, 201):
        # 1 ms each, told in windows of 100 after the time that all of them took
        now = 0.1 * (1 + (batch - 1) // 100) + 1e-5 * batch
        progress.take(Stepped(Split.TRAIN, 1, batch, batch, None, {}), now)
        if batch == 100:
            assert progress.rate is None and progress.remaining is None
    assert progress.rate == pytest.approx(1000, rel=0.02)
    assert progress.remaining == pytest.approx(0.1, rel=0.02)
