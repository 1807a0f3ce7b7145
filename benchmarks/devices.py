"""What a step takes on one device and on two, next to what each framework has for several: milliseconds of the clock.

    nox -s bench -- devices [torch | tensorflow | jax]

`peer`: a loop by hand over `DistributedDataParallel` on torch, `MirroredStrategy` over two devices of the CPU on
TensorFlow, one jitted program over a mesh of two on JAX; on one device, the same loop without. All train on batches of
64, of which each of two has 32, with Adam. `wait_ms`: a sum of as many numbers as the model has, by itself, in our
world. Each of them is a job of its own, one after the other; least and median of windows of 20 steps. On two cores
two devices leave none free, and a neighbour shows: the least counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from multilearn.environment_variables import LEASH
from multilearn.launch.environments import ONE_PROCESS_A_DEVICE, environments, ranks

MODELS = ("mlp", "cnn")
WINDOWS = 30
LIMIT = 600.0

BACKEND = sys.argv[1] if sys.argv[1:] else os.environ.get("KERAS_BACKEND", "torch")
ROOT = Path(__file__).resolve().parents[1]


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """By model: milliseconds a step of ours and of the peer on one and two devices, and ours as a multiple of it."""
    rows: dict[str, dict[str, float]] = {}
    for model in MODELS:
        row: dict[str, float] = {}
        for who in ("ours", "peer"):
            for devices in (1, 2):
                found = job(who, model, devices, WINDOWS // 5 if quick else WINDOWS)
                row |= {f"{who}_{devices}_{name}": value for name, value in found.items() if name != "wait_ms"}
                row |= {name: value for name, value in found.items() if name == "wait_ms"}
        row |= {f"of_peer_{devices}": row[f"ours_{devices}_ms"] / row[f"peer_{devices}_ms"] for devices in (1, 2)}
        rows[model] = row
        print(BACKEND, model, {name: round(value, 3) for name, value in row.items()}, flush=True)
    return rows


def job(who: str, model: str, devices: int, windows: int) -> dict[str, float]:
    """What the first process of a job prints."""
    command = [sys.executable, "-m", "benchmarks.steps", BACKEND, who, model, str(devices), str(windows)]
    started = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **each, LEASH: ""}, stdout=subprocess.PIPE, text=True)
        for each in of_processes(who, devices)
    ]
    try:
        said = [process.communicate(timeout=LIMIT)[0] for process in started[::-1]][::-1]
    finally:
        for process in started:
            process.kill()
    if any(process.returncode for process in started):
        raise SystemExit(f"{' '.join(command)} failed")
    found: dict[str, float] = json.loads(said[0].splitlines()[-1])
    return found


def of_processes(who: str, devices: int) -> Iterable[Mapping[str, str]]:
    """The variables of each process of a job."""
    if devices == 1:
        return [{}]
    if BACKEND == "jax" or (BACKEND in ONE_PROCESS_A_DEVICE and who == "ours"):
        return environments(BACKEND, devices)
    # MirroredStrategy has its devices in one process
    return ranks(devices) if BACKEND == "torch" else [{}]


if __name__ == "__main__":
    main()
