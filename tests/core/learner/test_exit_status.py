"""How a script ends whose fit was stopped by a signal: as if the signal had ended it, unless it says otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends the signals of POSIX")

SCRIPT = """
import atexit
atexit.register(lambda: open("at-exit.txt", "w").write("an earlier handler"))
import os, signal, sys, threading, time
import multilearn as ml
from support import toy_experiment as toy

def fit(directory, number=None, reason=None):
    def at(epoch, batch):
        if (epoch, batch) == (2, 1):
            if number: os.kill(os.getpid(), number)
            if reason: interrupter.stop(reason)
    interrupter = ml.Interrupter()
    learner = toy.build(toy.builder(directory).with_interrupter(interrupter))
    learner.fit(toy.Watched(toy.train_loader(), at), toy.valid_loader())
    return learner

def late():
    time.sleep(0.2)
    open("thread.txt", "w").write("a thread that was still at work")

threading.Thread(target=late).start()
unclosed = open("unclosed.txt", "w")
unclosed.write("what no flush has written")
"""


def ended(folder: Path, environment: Mapping[str, str], source: str, *options: str, **variables: str) -> int:
    (folder / "train.py").write_text(SCRIPT + source)
    command = [sys.executable, *options, "train.py"]
    return subprocess.run(
        command, cwd=folder, env={**environment, **variables}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    ).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_as_if_by_the_signal_when_all_else_is_done(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    """A process that a signal has ended is 128 + n to a shell, and -n to Python."""
    assert ended(tmp_path, environment, f"fit('run', {int(number)})\n") == -number
    assert (tmp_path / "at-exit.txt").read_text() == "an earlier handler"
    assert (tmp_path / "thread.txt").read_text() == "a thread that was still at work"
    assert (tmp_path / "unclosed.txt").read_text() == "what no flush has written"
    assert (tmp_path / "run/checkpoint/manifest.json").exists()


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("raise ValueError", 1),
        ("fit('second')", 0),
        ("sys.ps1 = '>>> '\nfit('second', signal.SIGINT)\nsys.exit(0)", 0),
    ],
)
def test_the_script_has_the_last_word(tmp_path: Path, environment: dict[str, str], then: str, code: int) -> None:
    assert ended(tmp_path, environment, f"fit('run', signal.SIGINT)\n{then}\n") == code


@pytest.mark.parametrize("reason", ["multilearn stop", "enough"])
def test_a_wish_to_stop_is_no_failure(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    assert ended(tmp_path, environment, f"assert fit('run', reason={reason!r}).stopped_by == {reason!r}\n") == 0


def test_a_session_is_left_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    assert ended(tmp_path, environment, "fit('run', signal.SIGINT)\n", "-i") == 0


def test_a_rank_ends_with_the_exit_code(tmp_path: Path, environment: dict[str, str]) -> None:
    """To what has started it, one that a signal has killed is one that was lost."""
    assert ended(tmp_path, environment, "fit('run', signal.SIGINT)\n", MULTILEARN_LEASH="1") == 130
