"""The whole screen on a real terminal, and the ways in which it ends: each leaves the terminal as it was."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from support.environments import TESTS, with_support
from support.terminals import TmuxTerminal, needs_tmux, tmux_terminal

pytestmark = needs_tmux

BACKEND = os.environ.get("MULTILEARN_BACKEND", "toy")
SCRIPT = TESTS / "support" / "screen_script.py"
WHOLE = {"icanon", "echo", "isig", "cursor", "ordinary"}
EPOCH_3 = r"epoch ([3-9]|[1-5]\d)/60 (train|valid)"
KEYS = "q leave"

Opened = Callable[..., AbstractContextManager[TmuxTerminal]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    (tmp_path / "temporary").mkdir()
    environment = with_support(
        MULTILEARN_BACKEND=BACKEND,
        OMP_NUM_THREADS="1",
        TF_CPP_MIN_LOG_LEVEL="3",
        COLORTERM="truecolor",
        TMPDIR=str(tmp_path / "temporary"),
    )

    def terminal(*arguments: str, size: tuple[int, int] = (80, 24)) -> AbstractContextManager[TmuxTerminal]:
        return tmux_terminal(tmp_path, size, environment, [sys.executable, str(SCRIPT), *arguments])

    return terminal


@pytest.fixture(autouse=True)
def no_file_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert list((tmp_path / "temporary").glob("multilearn-*")) == []


def ctrl_c(screen: TmuxTerminal) -> None:
    screen.press("C-c")


def stop(screen: TmuxTerminal) -> None:
    screen.press("q")
    screen.wait("stop after this batch")
    screen.press("s")


def terminate(screen: TmuxTerminal) -> None:
    for process in screen.processes("screen_script.py"):
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(("ask", "by"), [(ctrl_c, "SIGINT"), (stop, "SIGINT"), (terminate, "SIGTERM")])
def test_a_run_that_is_asked_to_stop_saves_and_the_script_continues(
    opened: Opened, ask: Callable[[TmuxTerminal], None], by: str
) -> None:
    with opened("60", "0.02") as screen:
        screen.wait(EPOCH_3)
        ask(screen)
        found = screen.wait(f"^RESULT {by}", history=60)
        assert re.search(rf"^stopped in epoch \d+ after \d+ batch\w*: {by}; \.checkpoint", found, re.MULTILINE)
        assert "\nsummary\n" in found
        assert screen.modes() == WHOLE


def test_a_run_can_be_killed_in_a_slow_step(opened: Opened) -> None:
    with opened("60", "4") as screen:
        screen.wait(r"epoch 1/60 train [12]/25")
        screen.press("q")
        screen.wait("kill: raise")
        screen.press("k")
        found = screen.wait(r"^KeyboardInterrupt", history=60)
        assert "Traceback" in found
        assert screen.modes() == WHOLE


def test_after_the_screen_was_left_training_continues_in_a_block_with_all_of_its_history(opened: Opened) -> None:
    with opened("60", "0.02") as screen:
        screen.wait(EPOCH_3)
        screen.press("q")
        screen.wait("training continues")
        screen.press("d")
        screen.wait(r"the screen is closed, training continues in epoch \d+ of 60", history=60)
        found = screen.wait(r"^epoch +\d+/60 ", history=60)
        assert re.search("[│┤].{0,16}[●⠁-⣿]", found)  # the epochs from before are in the charts
        screen.press("C-c")
        found = screen.wait("^RESULT SIGINT", history=60)
        assert re.search(r"^stopped in epoch \d+", found, re.MULTILINE)
        assert screen.modes() == WHOLE


def test_a_screen_that_is_killed_leaves_the_run(opened: Opened) -> None:
    with opened("60", "0.02") as screen:
        screen.wait(EPOCH_3)
        for process in screen.processes("multilearn.renderers.screen.child"):
            process.kill()
        screen.wait("the screen is closed, training continues", history=60)
        screen.press("C-c")
        screen.wait("^RESULT SIGINT", history=60)
        assert screen.modes() == WHOLE


def test_what_a_loader_raises_is_on_the_ordinary_screen(opened: Opened) -> None:
    with opened("60", "0.1", "raise") as screen:
        screen.wait(KEYS)
        found = screen.wait("^RuntimeError: the loader fails on purpose", history=60)
        assert "Traceback" in found and "failed in epoch 3 after" in found
        assert screen.modes() == WHOLE


@pytest.mark.parametrize("act", ["segv", "kill"])
def test_a_training_that_dies_gives_the_terminal_back(opened: Opened, act: str) -> None:
    with opened("60", "0.1", act) as screen:
        screen.wait(KEYS)
        screen.wait("the process that trained has ended and has not said why", history=60)
        found = screen.text(history=2000)  # of every thread
        assert ("Segmentation fault" in found) is (act == "segv")
        assert screen.modes() == WHOLE


def test_a_terminal_that_is_closed_ends_both(opened: Opened) -> None:
    with opened("60", "0.05") as screen:
        screen.wait(EPOCH_3)
        processes = screen.processes("screen_script.py") + screen.processes("multilearn.renderers.screen.child")
        assert len(processes) == 2
        screen.close()
        _, alive = psutil.wait_procs(processes, 20)
        assert alive == []


def test_it_sleeps_and_wakes(opened: Opened) -> None:
    with opened("60", "0.02") as screen:
        screen.wait(EPOCH_3)
        screen.press("C-z")
        screen.wait(r"Stopped")
        assert screen.modes() == WHOLE
        screen.enter("fg")
        screen.wait(KEYS)
        screen.press("C-c")
        screen.wait("^RESULT SIGINT", history=60)
        assert screen.modes() == WHOLE


def test_in_the_background_it_continues_without_a_screen(opened: Opened) -> None:
    with opened("6", "0.1") as screen:
        screen.wait(r"epoch [1-5]/6")
        screen.press("C-z")
        screen.wait(r"Stopped")
        screen.enter("bg")
        screen.wait("the screen is closed, training continues", history=60)
        screen.wait("^RESULT None", history=60)
        assert screen.modes() == WHOLE


def test_what_is_printed_is_in_a_pane_and_on_the_ordinary_screen_afterwards(opened: Opened) -> None:
    with opened("60", "0.02", "prints", size=(160, 45)) as screen:
        found = screen.wait("a line of a subprocess in epoch 3")
        assert KEYS in found and "a line of the script in epoch" in found and "a line from C" in found
        screen.press("C-c")
        found = screen.wait("^RESULT SIGINT", history=200)
        for line in ("a line of the script in epoch 1", "a line of a subprocess in epoch 2", "a line from C"):
            assert re.search(f"^{line}$", found, re.MULTILINE)
        assert screen.modes() == WHOLE


def test_of_very_much_that_was_printed_the_end_is_shown_and_where_all_of_it_is(opened: Opened, tmp_path: Path) -> None:
    with opened("4", "0.05", "flood") as screen:
        found = screen.wait("^RESULT None", history=60)
        assert re.search(r"^line 39999 of a script", found, re.MULTILINE)
        assert re.search(r"^multilearn: 1 MB were printed, this was the last of it; all is in ", found, re.MULTILINE)
    (kept,) = (tmp_path / "temporary").glob("multilearn-*")
    assert kept.read_text().startswith("line 0 of a script")
    kept.unlink()


def test_a_persistent_screen_stays_until_a_key_leaves_it(opened: Opened) -> None:
    with opened("2", "0", "persistent") as screen:
        screen.wait("completed")
        screen.press("Right", "y", "g", "Down", "q")
        screen.wait("^RESULT None", history=60)
        assert screen.modes() == WHOLE


def test_a_question_finds_no_answer(opened: Opened) -> None:
    with opened("60", "0.02", "input") as screen:
        found = screen.wait("^EOFError", history=60)
        assert "a question? " in found
        assert screen.modes() == WHOLE


def test_a_debugger_gets_the_terminal(opened: Opened) -> None:
    with opened("4", "0.02", "breakpoint") as screen:
        found = screen.wait(r"^\(Pdb\)", history=60)
        assert "screen_script.py" in found
        screen.enter("p number * 100")
        screen.wait("^500$", history=60)
        screen.enter("continue")
        screen.wait("^RESULT None", history=60)
        assert screen.modes() == WHOLE
