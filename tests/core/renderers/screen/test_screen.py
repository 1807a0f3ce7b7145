"""The screen without a terminal: what is on it at which size, and what keys do."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.run_events import ACCURACY, LOSS, WORDS, events

from multilearn.errors import RecordError
from multilearn.events import Attached, Event, Finished, MetricInfo, Position, Split, Started

pytest.importorskip("textual", reason="the extra `screen` is not installed")

from multilearn.renderers.screen.app import RunScreen  # after it is known that it can be imported

HERE = Path(__file__).parent
MANY = tuple(MetricInfo(f"Metric(number {number})", plotted=True, better="lowest") for number in range(40))
OF_80 = 80  # events: into epoch 3 of 4


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multilearn.renderers.screen.app._LATEST", 0.0)


class Held:
    """Events up to some place; the rest once it is let go."""

    def __init__(self, found: Iterable[Event], first: int) -> None:
        self._found, self._first = iter(found), first
        self._gate = threading.Event()

    def let_go(self) -> None:
        self._gate.set()

    def __iter__(self) -> Iterator[Event]:
        yield from islice(self._found, self._first)
        assert self._gate.wait(60)
        yield from self._found


@asynccontextmanager
async def on(app: RunScreen, held: Held, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Any]:
    async with app.run_test(size=size) as pilot:
        try:
            yield pilot
        finally:
            held.let_go()


def text(app: RunScreen) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def until(pilot: Any, condition: Callable[[], object]) -> None:
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(text(pilot.app))


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 60))


def screen(held: Held, **more: Any) -> tuple[RunScreen, list[str]]:
    asked: list[str] = []
    return RunScreen([("", held)], **{"ask": asked.append, **more}), asked


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_what_is_on_it(tmp_path: Path, size: tuple[int, int]) -> None:
    saved = HERE / "{}x{}.txt".format(*size)
    output = tmp_path / "output"
    output.write_text("loading the data\nthe mean is 0.4981\n")

    async def steps() -> None:
        held = Held(events(), OF_80)
        app, _ = screen(held, output=output)
        async with on(app, held, size) as pilot:
            await until(pilot, lambda: "epoch 3/4 train" in text(app) and "mean is" in text(app))
            await pilot.pause(0.5)
            found = re.sub(r"(elapsed +)\d+:\d\d", r"\g<1>0:00", text(app))
        assert found.splitlines() == saved.read_text(encoding="utf-8").splitlines()

    run(steps())


def test_the_page_shows_this_screen() -> None:
    page = Path(__file__).parents[4] / "docs" / "screens.md"
    assert (HERE / "80x24.txt").read_text(encoding="utf-8").rstrip() in page.read_text(encoding="utf-8")


def test_keys_and_sizes_of_any_kind_while_forty_metrics_are_trained() -> None:
    keys = [
        "left",
        "right",
        "up",
        "down",
        "y",
        "g",
        "o",
        "o",
        "o",
        "tab",
        "h",
        "l",
        "k",
        "j",
        "t",
        "i",
        "escape",
        "a",
        "escape",
        "q",
        "c",
    ]

    async def steps() -> None:
        held = Held(events(3, 40, (LOSS, *MANY, WORDS), nan_at=7), 0)
        app, _ = screen(held, persistent=True)
        async with on(app, held) as pilot:
            await pilot.press(*keys)  # before there is anything
            held.let_go()
            await until(pilot, lambda: app.shown.boards)
            for size in ((40, 10), (20, 6), (300, 100), (160, 45), (80, 24)):
                await pilot.resize_terminal(*size)
                await pilot.press("right", "left", "left", "down", "y", "g")
                await pilot.pause(0.05)
            assert app.shown.metric == 36 and "Metric(number 35)" in text(app)

    run(steps())


@pytest.mark.parametrize(("key", "asks"), [("s", ["stop"]), ("k", ["kill"]), ("c", []), ("escape", []), ("x", [])])
def test_q_asks_how_to_leave(key: str, asks: list[str]) -> None:
    async def steps() -> None:
        held = Held(events(), OF_80)
        app, asked = screen(held)
        async with on(app, held) as pilot:
            await until(pilot, lambda: app.shown.boards)
            await pilot.press("q")
            await until(pilot, lambda: "stop after this batch" in text(app))
            await pilot.press(key)
            assert asked == asks
            if asks == ["stop"]:
                await pilot.resize_terminal(160, 45)
                await until(pilot, lambda: "stopping after this batch" in text(app))

    run(steps())


def test_ctrl_c_stops_and_d_leaves() -> None:
    async def steps() -> None:
        held = Held(events(), OF_80)
        app, asked = screen(held)
        async with on(app, held) as pilot:
            await until(pilot, lambda: app.shown.boards)
            await pilot.press("ctrl+c", "ctrl+z")
            assert asked == ["stop", "sleep"]
            await pilot.press("q", "d")
            await pilot.pause(0.1)
        assert app.return_value == "left"

    run(steps())


def test_a_run_of_another_process_can_only_be_left() -> None:
    async def steps() -> None:
        held = Held(events(), OF_80)
        app = RunScreen([("", held)], watching=True)
        async with on(app, held) as pilot:
            await until(pilot, lambda: app.shown.boards)
            await pilot.press("q", "s", "k")
            assert "stop" not in text(app) and "continues" in text(app)
            await pilot.press("c", "ctrl+c")
            await pilot.pause(0.1)
        assert app.return_value == "left"

    run(steps())


@pytest.mark.parametrize("persistent", [False, True])
def test_it_goes_when_the_run_is_over_unless_it_is_persistent(persistent: bool) -> None:
    async def steps() -> None:
        held = Held(events(2, 3), 1000)
        held.let_go()
        app, _ = screen(held, persistent=persistent)
        async with on(app, held) as pilot:
            if persistent:
                await until(pilot, lambda: "completed" in text(app) and "100 %" in text(app))
                await pilot.press("q")
            await pilot.pause(0.5)
        assert app.return_value == "over"

    run(steps())


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ([Finished(Position(1), "SIGINT")], "stopped: SIGINT"),
        ([Finished(Position(1), error="ValueError: no\nmore")], "failed: ValueError: no"),
        ([], "the process was killed"),
    ],
)
def test_how_a_run_ended(last: list[Event], said: str) -> None:
    async def steps() -> None:
        held = Held([*islice(events(), 40), *last], 1000)
        held.let_go()
        app, _ = screen(held, persistent=True)
        async with on(app, held) as pilot:
            await until(pilot, lambda: said in text(app))

    run(steps())


def test_the_configuration_and_the_environment_are_those_of_experiment_json(tmp_path: Path) -> None:
    session = {
        "backend": "torch",
        "devices": ["cpu:0"],
        "versions": {"numpy": "2.0"},
        "machine": {"cpu": "Xe\x1b[1mon"},
    }
    document = {"version": 1, "seed": 42, "builder": {"num_epochs": 4, "metrics": [{"type": "Loss"}]}}
    (tmp_path / "experiment.json").write_text(json.dumps({**document, "sessions": [{"backend": "jax"}, session]}))
    first, *rest = events()
    assert isinstance(first, Started)

    async def steps() -> None:
        held = Held([replace(first, directory=tmp_path), *rest], OF_80)
        app, _ = screen(held)
        async with on(app, held, (160, 45)) as pilot:
            await until(pilot, lambda: "torch · cpu:0 · seed 42" in text(app))
            await pilot.press("i")
            await until(pilot, lambda: "configuration and environment" in text(app))
            lines = text(app)
            for name, value in {"num_epochs": "4", "versions.numpy": "2.0", "machine.cpu": r"Xe\x1b[1mon"}.items():
                assert re.search(rf"{name} +{re.escape(value)}\b", lines)
            assert "Loss()" in lines and "jax" not in lines
            await pilot.press("escape")
            await until(pilot, lambda: "configuration and environment" not in text(app))

    run(steps())


def test_texts_that_were_logged_can_be_read_and_pictures_are_named() -> None:
    more = [Attached(1, "notes", "all is\nwell \x1b[2J"), Attached(2, "sample", image=b"")]

    async def steps() -> None:
        held = Held([*islice(events(), 60), *more, *islice(events(), 60, None)], 62)
        app, _ = screen(held)
        async with on(app, held) as pilot:
            await until(pilot, lambda: app.shown.boards and app.shown.boards[0][1].attached)
            await pilot.press("a")
            await until(pilot, lambda: r"well \x1b[2J" in text(app))
            assert "runs/digits/attachments/epoch-2/sample.png" in text(app)
            assert text(app).index("sample") < text(app).index("notes")  # the newest first

    run(steps())


def test_colours_for_a_dark_terminal_and_for_a_light_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps() -> None:
        monkeypatch.setenv("COLORFGBG", "0;15")
        held = Held(events(), OF_80)
        app, _ = screen(held)
        async with on(app, held) as pilot:
            assert not app.current_theme.dark
            await pilot.press("t")
            assert app.current_theme.dark and app.shown.looks.dark

    run(steps())


def test_several_runs_are_in_one_chart() -> None:
    async def steps() -> None:
        first, second = Held(events(), OF_80), Held(events(8, 10, (LOSS, ACCURACY)), OF_80)
        app = RunScreen([("runs/a", first), ("runs/b", second)], watching=True)
        async with on(app, first) as pilot:
            await until(pilot, lambda: "2 training" in text(app) or "1 training, 1 validating" in text(app))
            assert "━ runs/a" in text(app) and "━ runs/b" in text(app)
            assert re.search(r"runs/b +\d/8 ", text(app))
            await pilot.resize_terminal(160, 45)
            await pilot.pause(0.3)
            assert re.search(r"runs/a +3/4 ", text(app)) or re.search(r"runs/a.*\n +3/4 ", text(app))
            second.let_go()

    run(steps())


def test_a_run_that_cannot_be_read_says_why() -> None:
    def damaged() -> Iterator[Event]:
        yield from islice(events(), 40)
        raise RecordError("the file is damaged")

    async def steps() -> None:
        app = RunScreen([("", damaged())], watching=True)
        async with app.run_test() as pilot:
            await until(pilot, lambda: "failed: the file is damaged" in text(app))

    run(steps())


def test_times_of_what_had_happened_before_mean_nothing() -> None:
    async def steps() -> None:
        held = Held(events(4, 2000), 6000)
        app = RunScreen([("", held)], watching=True)
        async with on(app, held, (160, 45)) as pilot:
            await until(pilot, lambda: app.shown.runs[0].live)
            assert app.shown.runs[0].speed == "" and app.shown.boards[0][1].state.epoch == 3
            assert app.shown.boards[0][1].state.split is Split.TRAIN

    run(steps())
