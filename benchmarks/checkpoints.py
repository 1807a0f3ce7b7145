"""How fast a state is copied, written durably and read again, in MB/s of the state.

    nox -s bench -- checkpoints

The state is float32 numbers of a normal distribution, as weights are. `copy`: the copy that training waits for, into
new memory and into memory of the copy before. `ours`: a gzipped record with its sha256, manifest and fsync; read with
its checksum verified. `raw`: the bytes as they are, and fsync: what the disk takes. `torch.save` and `safetensors`
write uncompressed, and get an fsync too. All take turns; medians, and half of the range of the turns. `_cpu`: by
processor time, which a busy machine and a slow disk disturb less. What safetensors reads is mapped, not yet read.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FRAMEWORKS = ("torch",)
GOALS = {"durable_mb_s": ("at least", 300), "restored_mb_s": ("at least", 300)}
SIDE, LAYERS, TURNS = 2048, 12, 5

os.environ |= {"KERAS_BACKEND": "torch", "MULTILEARN_BACKEND": "torch", "OMP_NUM_THREADS": "1"}

import keras  # noqa: E402
import numpy as np  # noqa: E402

from multilearn.checkpoint import CheckpointFolder  # noqa: E402
from multilearn.events import Position  # noqa: E402
from multilearn_keras.state.host_copies import HostCopies  # noqa: E402
from multilearn_keras.state.transfer import record_of  # noqa: E402

Action = Callable[[], Any]


def durable(path: Path, write: Action) -> None:
    write()
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def actions(folder: Path, layers: int) -> tuple[int, dict[str, Action]]:
    """How many bytes the state has, and all that is done with it."""
    import safetensors.torch
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    model = keras.Sequential([keras.Input((SIDE,)), *(keras.layers.Dense(SIDE, use_bias=False) for _ in range(layers))])
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape, "float32"))
    variables = {str(number): weight for number, weight in enumerate(model.weights)}
    state = {key: variable.value.detach() for key, variable in variables.items()}
    copies, record = HostCopies(), record_of(variables)
    checkpoints, raw = CheckpointFolder(folder / "ours"), folder / "raw"

    def write_raw() -> None:
        with open(raw, "wb") as file:
            for tensor in state.values():
                file.write(memoryview(tensor.numpy()).cast("B"))

    def write_ours() -> None:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        checkpoints.save(Position(1), {"model": record})

    return sum(tensor.nbytes for tensor in state.values()), {
        "copy_new": lambda: record_of(variables),
        "copy_again": lambda: record_of(variables, copies=copies),
        "raw_write": lambda: durable(raw, write_raw),
        "ours_write": write_ours,
        "ours_read": lambda: checkpoints.load(Position(1)),
        "keras_write": lambda: durable(folder / "k.weights.h5", lambda: model.save_weights(folder / "k.weights.h5")),
        "keras_read": lambda: model.load_weights(folder / "k.weights.h5"),
        "torch_write": lambda: durable(folder / "pt", lambda: torch.save(state, folder / "pt")),
        "torch_read": lambda: torch.load(folder / "pt"),
        "safetensors_write": lambda: durable(folder / "st", lambda: safetensors.torch.save_file(state, folder / "st")),
        "safetensors_read": lambda: safetensors.torch.load_file(folder / "st"),
    }


def main(quick: bool = False) -> dict[str, dict[str, float]]:
    """MB/s of each, by the clock and by processor time; `durable_mb_s` and `restored_mb_s`: the latter, of ours."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        size, todo = actions(Path(folder), 2 if quick else LAYERS)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in todo}
        for turn in range((2 if quick else TURNS) + 1):
            for name, action in todo.items():
                began = time.perf_counter(), time.process_time()
                action()
                took = time.perf_counter() - began[0], time.process_time() - began[1]
                if turn:  # memory is kept from the second round of copies on
                    taken[name].append(took)
    for name, turns in taken.items():
        by_clock, by_processor = ([size / 1e6 / max(each[way], 1e-9) for each in turns] for way in (0, 1))
        rows[name] = {
            "mb_s": statistics.median(by_clock),
            "spread_mb_s": (max(by_clock) - min(by_clock)) / 2,
            "cpu_mb_s": statistics.median(by_processor),
        }
        print(f"{name:20}" + "".join(f"{figure:>14} {value:7.0f}" for figure, value in rows[name].items()), flush=True)
    rows["ours_write"]["durable_mb_s"] = rows["ours_write"]["cpu_mb_s"]
    rows["ours_read"]["restored_mb_s"] = rows["ours_read"]["cpu_mb_s"]
    return rows


if __name__ == "__main__":
    main()
