"""Trainings of the same models by one process and by several, as JSON on stdout of the first: see `several_devices`."""

from __future__ import annotations

import json
import os
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
from multilearn.events import Split
from multilearn.launch.environments import ranks
from multilearn.loggers import MemoryMetricLogger
from multilearn_keras import Classification
from support.environments import with_support
from support.games import Gan, points
from support.processes import LIMIT
from support.several_devices import ACCUMULATING, SAVING, trained
from support.training import BACKEND, engine_of, learner

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
    going_on: dict[str, Any] = {"checkpoint": (1, folder / str(BEGINNING) / "perceptron"), "validated": False}
    told: dict[str, Any] = {
        "perceptron": trained("perceptron", size, own / "perceptron", batches=BATCHES, **SAVING),
        # so many epochs that steps are captured
        "masked": trained("masked", size, own / "masked", batches=BATCHES, **ACCUMULATING, num_epochs=4),
        "resumed": trained("perceptron", size, own / "resumed", batches=BATCHES, **going_on),
        "sharded": {"batches": of_own_rows(own / "sharded")},
        "game": {"batches": of_turns(own / "game")},
    }
    return told


def of_own_rows(directory: Path) -> list[float]:
    """The losses of a training on batches of 16 items, of which each process has loaded its own and no others."""
    world, rng = backend.load().world, np.random.default_rng(3)
    x, y = rng.normal(size=(48, 6)).astype("float32"), rng.integers(0, 3, 48)
    share, memory = 16 // world.size, MemoryMetricLogger()
    places = [slice(start + world.rank * share, start + (world.rank + 1) * share) for start in range(0, 48, 16)]
    ml.set_seed(5)
    made = learner(directory, classifier(layers.Dropout(0.2)), "sgd", 0.1, metric_loggers=memory)
    made.fit(ml.Sharded([(x[place], y[place]) for place in places]))
    # the first process alone has loggers
    return memory.batches[Split.TRAIN]["Loss"][1] if world.rank == 0 else []


def of_turns(directory: Path) -> list[float]:
    """The losses of a GAN whose generator takes its turn on every second batch."""
    ml.set_seed(5)
    task, memory = Gan(times=2, every=2), MemoryMetricLogger()
    made = learner(directory, task, "adam", 1e-2, metric_loggers=memory)
    made.fit(ml.DataLoader(points(40), 10, shuffle=True))
    logged = memory.batches.get(Split.TRAIN, {})
    found = [loss for turn in task.turns for loss in logged.get(f"{turn} Loss", {}).get(1, ())]
    return [loss for loss in found if not isinstance(loss, str)]


def of_processes(folder: Path, *arguments: str) -> Any:
    """What the script of this module prints where as many processes as begin train together."""
    command = [sys.executable, "-m", "support.ranks", str(folder), *arguments]
    for attempt in (1, 2):
        # without the leash: nothing holds their standard input
        alike = {**ranks(BEGINNING)[0], LEASH: "", "NPROC": "16", "MULTILEARN_BACKEND": BACKEND}
        surroundings = with_support(**alike, MULTILEARN_PATIENCE=str(5 * LIMIT))
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=5 * LIMIT)
        # a port that was free when it was chosen may be another process' seconds later, after the imports
        if attempt == 2 or "in use" not in done.stderr.lower():
            break
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main(folder: Path, *only_one: str) -> None:
    """In forks, one for each rank, since importing takes seconds; the first of them prints."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    forks = []
    for rank in range(BEGINNING):
        forks.append(os.fork())
        if forks[-1] == 0:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
            take_part(folder, *only_one)
            return
    sys.exit(any([os.waitpid(fork, 0)[1] for fork in forks]))


def take_part(folder: Path, *only_one: str) -> None:
    if only_one:
        told = trained("perceptron", BEGINNING, folder / "run")
    else:
        told = {**found(folder), "refused": refusals(backend.load().world.rank)}
    if backend.load().world.rank == 0:
        json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
