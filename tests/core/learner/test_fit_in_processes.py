"""A fit over several devices that need a process each: what the script has of it, and how the processes end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.environments import TOY, with_support
from support.processes import LIMIT, until

from multilearn.checkpoint import CheckpointFolder

SCRIPT = """
import os, sys, time
import multilearn as ml
from support import toy_experiment as toy
from toy_backend import STREAM, Momentum

def fit(directory, *devices, rate=0.1, epochs=2, at=lambda epoch, number: None):
    ml.set_seed(toy.SEED)
    described = toy.builder(directory, epochs)
    learner = (described.devices(devices) if devices else described).build(toy.task(), Momentum(), rate)
    learner.fit(toy.Watched(toy.train_loader(), at), toy.valid_loader())
    return [toy.weights(learner).hex(), STREAM.drawn, *learner.history["train"]["Loss"], learner.stopped_by]

"""
TRAINED = """
print("before fit")
print("after fit", *fit(sys.argv[1], *sys.argv[2:]))
"""
FAILED = """
for rate in 1e38, 0.1:
    try:
        fit(f"run-{rate}", "cpu:0", "cpu:1", rate=rate)
    except ml.errors.MultilearnError as error:
        print("caught", type(error).__name__, error)
"""
WAITING = """
def wait(epoch, number):
    if epoch == 2 and number > 1:
        open(os.environ.get("RANK", "alone"), "w").write(str(os.getpid()))
        time.sleep(0.1)

fit("run", "cpu:0", "cpu:1", epochs=1000, at=wait)
"""


def started(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(SCRIPT + text)
    surroundings = with_support(TOY / "several", MULTILEARN_BACKEND="several_toys")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "script.py", *arguments], cwd=folder, env=surroundings, **pipes)


def printed(folder: Path, text: str, *arguments: str) -> list[str]:
    """In lines."""
    process = started(folder, text, *arguments)
    output, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    return output.splitlines()


def test_a_script_that_names_devices_goes_on_once_with_what_they_trained(tmp_path: Path) -> None:
    alone, several = printed(tmp_path, TRAINED, "one"), printed(tmp_path, TRAINED, "two", "cpu:0", "cpu:1")
    assert len(alone) == 2 and several == alone


def test_what_processes_of_a_fit_raise_is_raised_where_it_was_begun(tmp_path: Path) -> None:
    first, second = printed(tmp_path, FAILED)
    assert first.startswith("caught NonFiniteLoss The training loss must be finite.")
    assert second.startswith("caught ConfigurationError A fit over several devices is the first of a script")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_the_end_of_their_launcher_stops_all_with_one_checkpoint(tmp_path: Path) -> None:
    process = started(tmp_path, WAITING)
    ranks = [tmp_path / str(rank) for rank in range(2)]
    until(lambda: all(rank.exists() and rank.read_text() for rank in ranks), lambda: process.poll() is None)
    of_ranks = [Path("/proc", rank.read_text()) for rank in ranks]
    assert all(rank.exists() for rank in of_ranks)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not any(rank.exists() for rank in of_ranks))
    first, last = map(str, CheckpointFolder(tmp_path / "run" / "checkpoint").positions())
    assert first == "1" and last.startswith("2.")
    assert not (tmp_path / "alone").exists()
    process.communicate()
