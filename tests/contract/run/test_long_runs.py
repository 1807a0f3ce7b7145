"""What long runs need of a framework: the best weights back at the end."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from support.training import learner, twins

from multilearn import DataLoader
from multilearn.checkpoint import CheckpointFolder, KeepLast
from multilearn.events import Position
from multilearn_keras import Classification

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.argmax(X[:, :3], axis=1).astype("int32")


def model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.25), keras.layers.Dense(3)])


class Flipping(DataLoader):
    """Labels that are right in the first two epochs and wrong in the others: the best epoch is the second."""

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
        for x, y in super().iterate(seed, epoch, start):
            yield x, y if epoch < 3 else (y + 1) % 3


def saved_weights(directory: Any, epoch: int) -> list[np.ndarray]:
    """Of the dense layer, as they were saved after an epoch."""
    layer = CheckpointFolder(directory / "checkpoint").load(Position(epoch))["model"]["layers"]["dense.0"]
    return [layer[name].numpy() for name in ("kernel", "bias")]


def test_the_best_weights_are_returned_and_the_last_ones_stay_on_disk(tmp_path: Any) -> None:
    """With checkpoints, and without any."""
    trained, settings = [], {"num_epochs": 4, "restore_best": ()}
    saved = {"with_file_checkpointer": (), "with_checkpointing_strategy": KeepLast(4)}
    for name, net, checkpoints in zip("ab", twins(model), (saved, {}), strict=True):
        run = learner(tmp_path / name, Classification(net), keras.optimizers.Adam(), 0.05, **settings, **checkpoints)
        trained.append(run.fit(Flipping((X, Y), 8), DataLoader((X, Y), 24)).layers[-1].get_weights())
        best = 1 + int(np.argmin(run.history["valid"]["Loss"]))
        assert run.restored == best < 4
    for weights in trained:
        for mine, weight in zip(weights, saved_weights(tmp_path / "a", best), strict=True):
            np.testing.assert_array_equal(mine, weight)
    assert any(map(np.any, np.subtract(saved_weights(tmp_path / "a", 4)[0], trained[0][0])))
