"""A long run keeps nothing that a short one does not."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
from keras import layers
from support.toy_experiment import Recorded
from support.training import BACKEND, ids, learner, numbers, twins

import multilearn as ml
from multilearn.events import EpochEnded, Event
from multilearn_keras import Classification


def on_the_device() -> int:
    """How many tensors the framework has alive."""
    gc.collect()
    if BACKEND == "jax":
        import jax

        return len(jax.live_arrays())
    if BACKEND == "torch":
        import torch

        kind: Any = torch.Tensor
    else:
        import tensorflow

        kind = (tensorflow.Tensor, tensorflow.Variable, tensorflow.Graph)
    return sum(issubclass(type(thing), kind) for thing in gc.get_objects())


def test_ten_epochs_leave_no_more_tensors_and_graphs_than_five(tmp_path: Path) -> None:
    model, _ = twins(
        lambda: keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dropout(0.2), layers.Dense(2)])
    )
    data = (numbers(6, 3), ids(2, 6))
    counts: dict[int, int] = {}

    def count(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch in (5, 10):
            counts[event.epoch] = on_the_device()

    run = learner(tmp_path, Classification(model), "adam", 0.01, num_epochs=10, metric_loggers=(Recorded(count),))
    run.fit(ml.DataLoader(data, 3, shuffle=True), ml.DataLoader(data, 3))
    assert counts[10] == counts[5] > 0
