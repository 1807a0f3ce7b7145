"""Signals reach what tests start, also where the tests run under `nohup` or in the background; what hangs is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.environments import TESTS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends the signals of POSIX")

SUITE = """
import os, signal, subprocess, sys

def test_what_is_started_is_ended_by_each_signal():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        sleeping = "import signal, time; print(flush=True); time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", sleeping], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(30) in (-number, 130)
        os.kill(os.getpid(), number)  # this one goes on
"""


def ignoring() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def run(directory: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A suite of its own, with the conftest.py of these, under a parent that ignores the signals."""
    (directory / "test_suite.py").write_text(suite)
    (directory / "conftest.py").write_bytes((TESTS / "conftest.py").read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(directory), *options]
    return subprocess.run(
        [*command, str(directory)], preexec_fn=ignoring, capture_output=True, text=True, cwd=directory, timeout=120
    )


HANGING = """
import threading
import pytest

@pytest.mark.timeout(2)
def test_waiting():
    threading.Event().wait()

def test_after():
    pass
"""


def test_signals_that_are_ignored_reach_what_tests_start_and_a_test_that_hangs_is_ended_and_named(
    tmp_path: Path,
) -> None:
    ended = run(tmp_path, SUITE + HANGING)
    assert "1 failed, 2 passed" in ended.stdout, ended.stdout
    assert "Timeout" in ended.stdout and "FAILED test_suite.py::test_waiting" in ended.stdout


def test_signals_that_are_ignored_reach_what_tests_start_in_workers(tmp_path: Path) -> None:
    ended = run(tmp_path, SUITE, "-n", "1")
    assert ended.returncode == 0, ended.stdout
