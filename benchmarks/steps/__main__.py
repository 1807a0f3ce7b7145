"""One process of a job: the first one prints what a step takes.

python -m benchmarks.steps FRAMEWORK ours | peer MODEL DEVICES WINDOWS
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable

os.environ |= {"KERAS_BACKEND": sys.argv[1], "MULTILEARN_BACKEND": sys.argv[1], "TF_CPP_MIN_LOG_LEVEL": "3"}
import multilearn as ml
from benchmarks.steps.steps import Steps
from benchmarks.training.setup import Setup
from benchmarks.training.workloads import Work

STEPS, WARM = 20, 2
PEERS = {"torch": "torch_ddp", "tensorflow": "tensorflow_mirrored", "jax": "jax_mesh"}


def main(framework: str, who: str, model: str, devices: str, windows: str) -> None:
    module = importlib.import_module(f"benchmarks.steps.{'ours' if who == 'ours' else PEERS[framework]}")
    # a world, where there is one, forms before the first tensor is made
    prepared = module.prepared(int(devices))
    ml.set_seed(1)
    steps: Steps = module.steps(Setup.of(Work(model, 64, STEPS, 1, 1)), prepared)
    times = [windowed(steps) for _ in range(WARM + int(windows))][WARM:]
    found = {"ms": min(times), "median_ms": sorted(times)[len(times) // 2]}
    if steps.add_up is not None:
        found["wait_ms"] = min(milliseconds(steps.add_up) for _ in range(10 * int(windows)))
    print(json.dumps(found), flush=True)
    steps.end()


def windowed(steps: Steps) -> float:
    """Milliseconds for each step of a window."""

    def window() -> None:
        for number in range(STEPS):
            steps.step(number)
        steps.wait()

    return milliseconds(window) / STEPS


def milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
