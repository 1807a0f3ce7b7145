"""The engine, as the loop of a Learner calls it."""

from __future__ import annotations

from typing import Any

import numpy as np

import multilearn as ml
from benchmarks.steps.steps import Steps
from benchmarks.training.setup import RATE, Setup
from multilearn import backend
from multilearn.data import batches_of
from multilearn.protocols import EngineOptions, Example

__all__ = ["prepared", "steps"]


def prepared(devices: int) -> int:
    backend.load()
    return devices


def steps(setup: Setup, devices: int) -> Steps:
    import keras

    from multilearn_keras import Classification

    loaded = backend.load()
    world = loaded.world
    in_process = devices if world.size == 1 else 1
    names = tuple(f"cpu:{number}" for number in range(in_process)) if in_process > 1 else ()
    metrics = (ml.metrics.Loss(), ml.metrics.Accuracy())
    model = setup.keras_model()
    subject = loaded.adopt(Classification(model), keras.optimizers.Adam(), RATE)
    loader = ml.DataLoader((setup.train.x, setup.train.y), setup.train.batch)
    with batches_of(loader, 1, 1) as whole:
        example = Example(next(whole))
    engine = loaded.engine(subject, [example], EngineOptions(metrics, devices=names))
    with batches_of(loader, 1, 1, world=world) as own:
        batches = list(own)
    outputs: list[Any] = []

    def step(number: int) -> None:
        outputs.append(engine.train_step(batches[number], RATE, True))

    def wait() -> None:
        engine.fetch(outputs)
        outputs.clear()

    return Steps(step, wait, sum_of(model.count_params(), world) if world.size > 1 else None, world.leave)


def sum_of(count: int, world: Any) -> Any:
    """The sum of so many numbers of all processes."""
    import keras

    flat = keras.ops.convert_to_tensor(np.ones(count, "float32"))
    if keras.backend.backend() == "torch":
        return lambda: world.sum(flat)
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    number = world.number_of("sum alone")

    @tf.function(autograph=False)
    def total() -> Any:
        with world.numbered(number):
            return world.sum(flat)

    return lambda: total().numpy()
