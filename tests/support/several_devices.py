"""Trainings of the same models on one device and on several, as JSON on stdout: what each batch and each epoch gave.

A script, for JAX makes several devices of a CPU only before it is first used.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers

from multilearn.checkpoint import MpkGzRecorder
from multilearn.events import Split
from multilearn.loggers import MemoryMetricLogger
from multilearn.metrics import GradientNorm, WeightNorm
from multilearn_keras import Classification
from multilearn_keras.state.keys import variables
from support.training import learner

CLASSES = 3
SAVING: dict[str, Any] = {"with_file_checkpointer": MpkGzRecorder()}
ACCUMULATING: dict[str, Any] = {"grads_accumulation": 2, "nan_policy": "skip"}
BATCHES = (65, 30)
"""Items, and those of a batch: three devices have equal parts of 30, four have not, nor have two of the last 5."""


def perceptron() -> keras.Model:
    parts = [layers.Dense(9, use_bias=False), layers.BatchNormalization(), layers.Activation("silu")]
    drawn = [layers.Dropout(0.3), layers.GaussianNoise(0.1)]
    return keras.Sequential([keras.Input((6,)), *parts, *drawn, layers.Dense(CLASSES)])


def masked() -> keras.Model:
    parts = [layers.Embedding(7, 4, mask_zero=True), layers.BatchNormalization(), layers.GlobalAveragePooling1D()]
    return keras.Sequential([keras.Input((5,), dtype="int32"), *parts, layers.Dense(CLASSES)])


MODELS: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...]]] = {
    "perceptron": (perceptron, (6,)),
    "masked": (masked, (5,)),
}


def devices(size: int) -> list[str]:
    return [f"cpu:{index}" for index in range(size)]


def trained(
    name: str, size: int, directory: Path, validated: bool = True, batches: tuple[int, int] = BATCHES, **settings: Any
) -> dict[str, Any]:
    """A training on so many devices; what it gave."""
    (make, shape), (items, batch) = MODELS[name], batches
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(items, *shape)).astype("float32"), rng.integers(0, CLASSES, items)
    x = x if name != "masked" else (abs(x) * 3).astype("int32") % 7
    weights = rng.uniform(0.5, 2.0, items).astype("float32")
    ml.set_seed(5)
    model, memory = make(), MemoryMetricLogger()
    norms = GradientNorm(), WeightNorm()
    settings = {"num_epochs": 2, "devices": (devices(size),), "metric_loggers": memory, "metrics": norms, **settings}
    made = learner(directory, Classification(model), keras.optimizers.Adam(0.01, global_clipnorm=1.0), **settings)
    valid = ml.DataLoader((x[:30], y[:30]), 30) if validated else None
    made.fit(ml.DataLoader((x, y, weights), batch, shuffle=True), valid)
    # of several processes the first one alone has loggers
    logged = memory.batches.get(Split.TRAIN, {})
    found = {
        "batches": [loss for epoch in logged.get("Loss", {}).values() for loss in epoch],
        "norms": [norm for each in norms for epoch in logged.get(each.name, {}).values() for norm in epoch],
        "valid": made.history["valid"]["Loss"] if validated else None,
        "on": sorted({_devices_of(variable.value) for variable in variables(model).values()}),
    }
    if name == "perceptron" and "checkpoint" not in settings:
        evaluator = ml.Evaluator(directory, device=devices(size), renderer=ml.renderers.SilentRenderer())
        predictions = list(ml.predict(model, ml.DataLoader((x,), batch), device=devices(size)))
        found["predicted"] = np.concatenate(predictions).ravel().tolist()
        found["evaluated"] = [evaluator.evaluate(Classification(model), ml.DataLoader((x[:5], y[:5]), 5))["Loss"]]
    return found


def _devices_of(value: Any) -> int:
    """How many devices have it."""
    return len(value.sharding.device_set) if hasattr(value, "sharding") else 1


def resumed(directory: Path, begun: Path) -> dict[str, Any]:
    """The second epoch of a run on three devices, on one of them and on all."""
    going_on = {**SAVING, "checkpoint": (1, begun), "validated": False}
    return {size: trained("perceptron", size, directory / str(size), **going_on) for size in (1, 3)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        unusual = {**ACCUMULATING, "validated": False, "num_epochs": 1}
        found: dict[str, Any] = {
            "perceptron": {n: trained("perceptron", n, place / f"perceptron-{n}", **SAVING) for n in (1, 3)},
            "masked": {n: trained("masked", n, place / f"masked-{n}", **unusual) for n in (1, 4)},
        }
        found["resumed"] = resumed(place / "resumed", place / "perceptron-3")
        found["experiment"] = json.loads((place / "perceptron-3" / "experiment.json").read_text())["sessions"]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
