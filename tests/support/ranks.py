"""Trainings of the same models by one process and by several, as JSON on stdout of the first: see `several_devices`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, ops

from multilearn import backend
from multilearn.environment_variables import LEASH
from multilearn.launch.environments import ranks
from multilearn_keras import Classification
from support.environments import with_support
from support.processes import LIMIT
from support.several_devices import SAVING, trained
from support.training import BACKEND, engine_of

BEGINNING = 2
"""How many processes begin what others go on with."""
BATCHES = (63, 31)
"""Two have unequal parts of 31 items, and each of them all of the last batch, which is one item."""


class MeanOfBatch(layers.Layer):
    """What no part of a batch knows."""

    def call(self, x: Any) -> Any:
        return x - ops.mean(x, axis=0, keepdims=True)


class Pairs(layers.Layer):
    """It draws for every pair of items."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(5)

    def call(self, x: Any, training: bool = False) -> Any:
        items = ops.shape(x)[0]
        return x + ops.mean(keras.random.normal((items * items,), seed=self.seed)) if training else x


def contrastive(y: Any, z: Any) -> Any:
    return ops.logsumexp(ops.matmul(z, ops.transpose(z)), axis=-1) + 0 * ops.cast(y, "float32")


def classifier(*middle: layers.Layer) -> Classification:
    return Classification(keras.Sequential([keras.Input((6,)), layers.Dense(4), *middle, layers.Dense(3)]))


def unlike(rank: int) -> Classification:
    task = classifier()
    task.model.layers[0].bias.assign(np.full(4, rank, "float32"))
    return task


def compiled(loss: Any) -> keras.Model:
    model = classifier().model
    model.compile("sgd", loss)
    return model


SUM = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
REFUSED: dict[str, Callable[[int], Any]] = {
    "mean": lambda rank: classifier(MeanOfBatch()),
    "pairs": lambda rank: classifier(Pairs()),
    "contrastive": lambda rank: compiled(contrastive),
    "sum": lambda rank: compiled(SUM),
    "unlike": unlike,
}


def refusals(rank: int) -> dict[str, str]:
    """What is said of models that several processes cannot train."""
    rng, said = np.random.default_rng(0), {}
    batch = rng.normal(size=(8, 6)).astype("float32"), rng.integers(0, 3, 8)
    for name, make in REFUSED.items():
        ml.set_seed(1)
        try:
            engine_of(make(rank), "sgd", batch)
            said[name] = "trained"
        except ml.errors.ConfigurationError as error:
            said[name] = str(error)
    return said


def found(folder: Path) -> dict[str, Any]:
    """What trainings in the folder gave."""
    world = backend.load().world
    size, own = world.size, folder / str(world.size)
    told: dict[str, Any] = {
        name: trained(name, size, own / name, batches=BATCHES, **SAVING) for name in ("perceptron", "masked")
    }
    # so many epochs that steps are captured
    unusual: dict[str, Any] = {"grads_accumulation": 2, "nan_policy": "skip", "num_epochs": 4, "batches": BATCHES}
    told["accumulated"] = trained("perceptron", size, own / "accumulated", **unusual)
    going_on = {**SAVING, "batches": BATCHES, "checkpoint": (1, folder / str(BEGINNING) / "perceptron")}
    told["resumed"] = trained("perceptron", size, own / "resumed", **going_on)
    return told


def one_training(folder: Path) -> dict[str, Any]:
    """What one training gave: of batches of 32 items, and of the 31 that are left."""
    size = backend.load().world.size
    return trained("perceptron", size, folder / f"one-{size}", batches=(63, 32))


def of_processes(folder: Path, *arguments: str) -> Any:
    """What the script of this module prints where as many processes as begin run it."""
    # without the leash: nothing holds their standard input
    worlds = [{**of_rank, LEASH: "", "NPROC": "16"} for of_rank in ranks(BEGINNING)]
    command = [sys.executable, "-m", "support.ranks", str(folder), *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    chosen = {"MULTILEARN_BACKEND": BACKEND, "MULTILEARN_PATIENCE": str(5 * LIMIT)}
    started = [subprocess.Popen(command, env=with_support(**chosen, **each), text=True, **pipes) for each in worlds]
    try:
        said = [rank.communicate(timeout=5 * LIMIT) for rank in started[::-1]][::-1]
    finally:
        for rank in started:
            rank.kill()
    assert all(rank.returncode == 0 for rank in started), said
    return json.loads(said[0][0].splitlines()[-1])


def main(folder: Path, *only_one: str) -> None:
    told, rank = one_training(folder) if only_one else found(folder), backend.load().world.rank
    if not only_one:
        told["refused"] = refusals(rank)
    if rank == 0:
        json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
