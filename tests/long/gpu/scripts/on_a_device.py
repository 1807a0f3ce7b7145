"""Sixty updates of a small model: the loss of each batch, as JSON. `python on_a_device.py MODEL DEVICE [world]`.

`world`: with the collectives of several processes, NCCL's on a GPU, though there is but this one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers

from multilearn import backend
from multilearn.events import Split
from multilearn.launch.environments import ranks
from multilearn.loggers import MemoryMetricLogger
from multilearn.protocols import LaunchedRank
from multilearn_keras import Classification
from multilearn_keras import world as worlds

MODELS: dict[str, tuple[tuple[int, ...], Callable[[], Sequence[layers.Layer]]]] = {
    "perceptron": ((12,), lambda: [layers.Dense(16), layers.BatchNormalization(), layers.Dropout(0.3)]),
    "convolutions": ((8, 8, 3), lambda: [layers.Conv2D(8, 3), layers.SpatialDropout2D(0.2), layers.Flatten()]),
    "recurrent": ((6, 5), lambda: [layers.LSTM(8, recurrent_dropout=0.2)]),
}


def join_alone() -> None:
    """A world of this process, which a launcher never makes."""
    own = ranks(1)[0]
    os.environ |= {name: own[name] for name in ("MASTER_ADDR", "MASTER_PORT")} | {"RANK": "0", "WORLD_SIZE": "1"}
    place = LaunchedRank(0, 1, 0, 1, own["MASTER_ADDR"], int(own["MASTER_PORT"]))
    worlds._joined = import_module("multilearn_keras.engines.torch.world").connected(place)


def main(name: str, device: str, *world: str) -> None:
    if world:
        join_alone()
    shape, parts = MODELS[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(220, *shape)).astype("float32"), rng.integers(0, 4, 220)
    ml.set_seed(3)
    memory = MemoryMetricLogger()
    with keras.device(device):
        model = keras.Sequential([keras.Input(shape), *parts(), layers.Activation("silu"), layers.Dense(4)])
    builder = ml.LearnerBuilder("run").metrics(ml.metrics.Loss()).metric_loggers(memory).num_epochs(15)
    builder = builder.renderer(ml.renderers.SilentRenderer())
    learner = builder.build(Classification(model), keras.optimizers.Adam(0.01))
    learner.fit(ml.DataLoader((x, y), 60, shuffle=True))
    if backend.load().world.rank == 0:
        epochs = memory.batches[Split.TRAIN]["Loss"].values()
        json.dump([loss for epoch in epochs for loss in epoch], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
