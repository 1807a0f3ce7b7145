"""Signals that come again and again, at any moment: nothing stays open, and the run goes on from its checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import toy_experiment as toy

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc/self/fd")

# A thread sends signals to its own process, from a random moment on and in random distances.
SCRIPT = """
import gc, json, os, random, signal, sys, threading, time
import multilearn as ml
from support import toy_experiment as toy

base, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def kept():
    gc.collect()
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    return len(os.listdir("/proc/self/fd")), sorted(t.name for t in threading.enumerate()), children

def storm(draw, done):
    time.sleep(draw.uniform(0, 0.25))
    while not done.is_set():
        if ready.is_set():
            os.kill(os.getpid(), draw.choice([signal.SIGINT, signal.SIGTERM]))
        time.sleep(draw.uniform(0, 0.004))

def handlers():
    return [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

def fit(directory, workers):
    described = toy.builder(directory, 20).checkpoint("latest").checkpoint_every(batches=2)
    learner = toy.build(described)
    loader = ml.DataLoader(toy.arrays(35), 8, shuffle=True, num_workers=workers, workers="thread", prefetch=2)
    learner.fit(loader, toy.valid_loader())

toy.fit(toy.builder(f"{base}/warm", 1))
for seed in range(first, last):
    draw, done, ready = random.Random(seed), threading.Event(), threading.Event()
    # what comes after fit must not end this process
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    before, found = kept(), handlers()
    thread = threading.Thread(target=storm, args=(draw, done))
    ready.set()
    thread.start()
    ended = "returned"
    try:
        fit(f"{base}/{seed}", 2)
    except (KeyboardInterrupt, SystemExit) as error:
        ended = type(error).__name__
    finally:
        done.set()
        thread.join()
    assert handlers() == found, "handlers"
    assert kept() == before, (seed, ended, kept(), before)
    assert not os.path.lexists(f"{base}/{seed}/.lock")
    left = [name for _, _, names in os.walk(f"{base}/{seed}") for name in names if name.endswith(".tmp")]
    assert not left, left
    print(ended, flush=True)
"""


def test_after_a_storm_of_signals_nothing_stays_open(environment: dict[str, str], tmp_path: Path) -> None:
    seeds = int(os.environ.get("MULTILEARN_STORMS", "6"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "0", str(seeds)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split()) == seeds
    toy.fit(toy.builder(tmp_path / "whole", 20).checkpoint_every(batches=2))
    for path in sorted(tmp_path.glob("[0-9]*"))[:2]:
        toy.fit(toy.builder(path, 20).checkpoint("latest").checkpoint_every(batches=2))
        assert toy.metric_files(path) == toy.metric_files(tmp_path / "whole")
