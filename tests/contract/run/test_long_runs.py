"""What long runs need of a framework: the best weights back at the end."""

from __future__ import annotations

from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.training import twins

from multilearn import DataLoader, LearnerBuilder
from multilearn.checkpoint import CheckpointFolder, KeepLast
from multilearn.events import Position
from multilearn.renderers import SilentRenderer
from multilearn_keras import Classification

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.argmax(X[:, :3], axis=1).astype("int32")


def model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.25), keras.layers.Dense(3)])


def learner(directory: Any, trained: keras.Model, **settings: Any) -> ml.Learner:
    builder = LearnerBuilder(directory).renderer(SilentRenderer()).num_epochs(4)
    for name, value in settings.items():
        builder = getattr(builder, name)(*value) if isinstance(value, tuple) else getattr(builder, name)(**value)
    return builder.build(Classification(trained), keras.optimizers.Adam(), 0.05)


class Flipping(DataLoader):
    """Labels that are right in the first two epochs and wrong in the others: the best epoch is the second."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
        for x, y in super().iterate(seed, epoch, start):
            yield x, y if epoch < 3 else (y + 1) % 3


def saved_weights(directory: Any, epoch: int) -> list[np.ndarray]:
    """Of the dense layer, as they were saved after an epoch."""
    layer = CheckpointFolder(directory / "checkpoint").load(Position(epoch))["model"]["layers"]["dense.0"]
    return [layer[name].numpy() for name in ("kernel", "bias")]


@pytest.mark.parametrize("saved", [True, False])
def test_the_best_weights_are_returned_and_the_last_ones_stay_on_disk(tmp_path: Any, saved: bool) -> None:
    whole, ours = twins(model)
    flipping = Flipping((X, Y), 8)
    first = learner(tmp_path / "whole", whole, with_file_checkpointer=(), with_checkpointing_strategy=(KeepLast(4),))
    first.fit(flipping, DataLoader((X, Y), 24))
    losses = first.history["valid"]["Loss"]
    best = 1 + int(np.argmin(losses))
    assert best < 4
    kept = {"with_file_checkpointer": ()} if saved else {}
    trained = learner(tmp_path / "run", ours, restore_best=(), **kept)
    result = trained.fit(flipping, DataLoader((X, Y), 24))
    assert trained.restored == best
    for mine, weight in zip(result.layers[-1].get_weights(), saved_weights(tmp_path / "whole", best), strict=True):
        np.testing.assert_array_equal(mine, weight)
    if saved:
        last = (saved_weights(tmp_path / run, 4) for run in ("run", "whole"))
        for mine, weight in zip(*last, strict=True):
            np.testing.assert_array_equal(mine, weight)
