"""The run that is killed: small, with all that a resume has to bring back: `victim.py REQUEST`, in JSON.

Everything it says of itself goes to files outside of the run's directory, past the wire.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import multilearn as ml
from multilearn import backend
from multilearn.checkpoint import AnyOf, KeepBest, KeepLast
from multilearn.early_stopping import NoImprovement
from multilearn.events import Event, Saved
from multilearn.loggers import files as open_files
from support.wire import Fault, Wire, install

EPOCHS, BATCHES, SEED = 4, 6, 11
CAPABILITIES = 0x20080522  # their version 3
OVERRIDES_PERMISSIONS = 1  # CAP_DAC_OVERRIDE


def data(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, (items, 4), and the class that a fixed rule gives them, (items,)."""
    x = np.random.default_rng(items).normal(size=(items, 4)).astype(np.float32)
    return x, np.argmax(x[:, :3] - x[:, 1:], axis=1).astype(np.int32)


def subject() -> tuple[Any, Any]:
    """A task and its optimizer on the backend of this process."""
    if backend.chosen() == "toy":
        from toy_backend import Momentum, SoftmaxModel, SoftmaxRegression

        return SoftmaxRegression(SoftmaxModel(4, 3), 0.25), Momentum()
    import keras
    from keras import layers

    from multilearn_keras import Classification

    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(3),
        ]
    )
    return Classification(model), keras.optimizers.Adam()


class Witness:
    """A metric logger that notes what is said to be saved."""

    def __init__(self, notes: Path) -> None:
        self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(self, event: Event) -> None:
        if isinstance(event, Saved):
            os.write(self._notes, f"{event.position}\n".encode())

    def flush(self) -> None: ...

    def close(self) -> None: ...


def described(directory: Path, notes: Path, options: Mapping[str, Any]) -> ml.LearnerBuilder:
    builder = (
        ml.LearnerBuilder(directory)
        .metrics(ml.metrics.Loss(), ml.metrics.Accuracy())
        .with_file_checkpointer()
        .with_checkpointing_strategy(AnyOf(KeepLast(2), KeepBest()))
        .checkpoint_every(batches=2)
        .grads_accumulation(2)
        .early_stopping(NoImprovement(epochs=50))
        .renderer(ml.renderers.SilentRenderer())
        .num_epochs(options.get("epochs", EPOCHS))
        .checkpoint("latest")
    )
    loggers = () if options.get("without_files") else (ml.loggers.FileMetricLogger(),)
    return builder.metric_loggers(*loggers, Witness(notes))


def jittered(item: Any, rng: np.random.Generator) -> Any:
    """Drawn from the streams that are the run's own."""
    x, y = item
    return x + rng.normal(scale=0.01, size=x.shape).astype(np.float32), y


def train(request: Mapping[str, Any]) -> None:
    """Train as `request` says, under its fault; at the end say what came of it, and how often what was called."""
    directory, report = Path(request["directory"]), Path(request["report"])
    notes, result = report / "saved.txt", os.open(report / "result.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    fault = Fault(**request["fault"]) if request.get("fault") else None
    wire = Wire(directory, fault, request.get("quota"))
    ml.set_seed(SEED)
    task, optimizer = subject()
    options = request.get("options", {})
    builder = described(directory, notes, options)
    # which write of a metric file is which must not depend on the clock
    open_files._FLUSH_SECONDS = float("inf")
    install(wire)
    learner = builder.build(task, optimizer, ml.schedulers.ReduceOnPlateau(0.05, factor=0.5, patience=0))
    workers = options.get("workers", 0)
    items = BATCHES * 16 - 5
    loader = ml.DataLoader(data(items), 16, shuffle=True, transform=jittered if workers else None, num_workers=workers)
    learner.fit(loader, ml.DataLoader(data(40), 16))
    said = {
        "history": {split: {name: list(map(repr, v)) for name, v in m.items()} for split, m in learner.history.items()},
        "weights": digest(task.model),
        "streams": [random.random(), float(np.random.random())],
        "written": wire.written,
        "calls": [[call, kind, count] for (call, kind), count in sorted(wire.counts.items())],
    }
    os.write(result, json.dumps(said).encode())


def digest(model: Any) -> str:
    """The sha256 of all that a model holds."""
    weights = model.weights.values() if isinstance(model.weights, dict) else model.get_weights()
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in weights)).hexdigest()


def heed_permissions() -> None:
    """Have the permissions of files hold for root, too: it loses the right to write in spite of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    # two rows of 32 capabilities: effective, permitted, inheritable
    data = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    for column in range(3):
        data[column] &= ~(1 << OVERRIDES_PERMISSIONS)
    assert libc.capset(header, data) == 0


def main(request: Mapping[str, Any]) -> None:
    """Train, and end at once."""
    code = 1
    try:
        if request["heeds_permissions"]:
            heed_permissions()
        train(request)
        code = 0
    except BaseException as error:
        traceback.print_exc()
        names = [each.__name__ for each in type(error).__mro__]
        Path(request["report"], "error.json").write_text(json.dumps({"kinds": names, "says": str(error)}))
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
