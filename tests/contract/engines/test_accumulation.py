"""Micro-batches equal their joint batch: gradients are averaged, weighted by what the loss divides by."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.by_hand import descended
from support.training import (
    assert_close,
    chunks,
    engine_of,
    ids,
    learner,
    numbers,
    state,
    train,
    trained,
    twins,
)

from multilearn import DataLoader, LearnerBuilder
from multilearn.errors import ConfigurationError
from multilearn_keras import Classification, Regression
from multilearn_keras.state.keys import flatten

WINDOW = (16, 16, 5)
"""The sizes of the batches of an update, the last of them a ragged one."""
UPDATES = 10


def perceptron() -> keras.Model:
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="tanh", kernel_regularizer="l2"), layers.Dense(3)]
    )


def tagger() -> keras.Model:
    return keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(7, 4, mask_zero=True), layers.Dense(3)])


def padded(items: int) -> np.ndarray:
    """Token ids (items, 5); rows end in zeros, some rows are nothing else."""
    x = ids(6, items, 5) + 1
    lengths = np.random.default_rng(1).integers(0, 6, items)
    x[np.arange(5) >= lengths[:, None]] = 0
    return x


def test_batches_of_a_window_are_one_batch_of_all_their_items() -> None:
    """Of any size, and of items of any weight."""
    joint, loss = sum(WINDOW), keras.losses.SparseCategoricalCrossentropy(True, reduction="mean_with_sample_weight")
    items = joint * UPDATES
    data = (numbers(items, 6), ids(3, items), np.random.default_rng(3).uniform(0, 5, items).astype("float32"))
    whole = chunks(data, joint)
    edges = np.cumsum((0, *WINDOW))
    parts = [tuple(array[a:b] for array in batch) for batch in whole for a, b in pairwise(edges)]
    ours, theirs = twins(perceptron)
    before = state(ours)
    for model, batches, n in ((ours, parts, len(WINDOW)), (theirs, whole, 1)):
        trained(Classification(model, loss), optimizers.Adam(), batches, 0.01, n, accumulate=n > 1)
    assert_close(ours, theirs, 1e-5)
    assert any(value.tobytes() != before[key].tobytes() for key, value in state(theirs).items())


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_masked_batches_of_a_window_are_one_batch_and_one_in_which_nothing_counts_changes_nothing(
    reduction: str,
) -> None:
    x, y = padded(96), ids(3, 96, 5)
    for window in (0, 48):
        x[window + 16 : window + 32] = 0
    nothing = (np.zeros((16, 5), "int32"), ids(3, 16, 5))
    shown = [np.r_[0:16, 32:48], np.r_[48:64, 80:96]]
    ours, theirs = twins(tagger)
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    parts, whole = chunks((x, y), 16), [(x[items], y[items]) for items in shown]
    for model, batches, empty, n in ((ours, parts, nothing, 3), (theirs, whole, tuple(map(twice, nothing)), 1)):
        engine = engine_of(Classification(model, loss), optimizers.SGD(), batches[0], accumulate=n > 1)
        losses = train(engine, batches, 0.1, n)
        if n == 3:
            assert losses[1][1] == losses[4][1] == 0
        # an update from nothing at all has gradient zero
        before = flatten(engine.record()["model"])
        assert train(engine, [empty] * n, 0.1, n) == [(0, 0)] * n
        assert flatten(engine.record()["model"]) == before
        engine.release()
    assert_close(ours, theirs, 1e-6)


def twice(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array])


def test_accumulating_moves_statistics_with_every_batch_and_counts_only_updates() -> None:
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((6,)), layers.BatchNormalization(momentum=0.5), layers.Dense(3)])

    model, _ = twins(make)
    batches = chunks((numbers(64, 6), ids(3, 64)), 16)
    optimizer = optimizers.Adam()
    trained(Classification(model), optimizer, batches, 0.1, 2, accumulate=True)
    assert int(optimizer.iterations) == 2
    mean = np.zeros(6)
    for x, _ in batches:
        mean = 0.5 * mean + 0.5 * x.mean(axis=0)
    found = state(model)["layers/batch_normalization.0/moving_mean"]
    np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-6)


class Noting:
    """A schedule that notes when it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def learning_rate(self, update: int) -> float:
        self.asked.append(update)
        return 0.1 / (1 + update)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...


def test_fit_accumulates_afresh_in_every_epoch_and_asks_the_schedule_once_per_update(tmp_path: Any) -> None:
    ours, theirs = twins(lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]))
    x, y, schedule = numbers(40, 4), numbers(40, 1, seed=1), Noting()
    run = learner(tmp_path / "run", Regression(ours), optimizers.SGD(), schedule, grads_accumulation=2, num_epochs=2)
    run.fit(DataLoader((x, y), 8))  # five batches: windows of 2, 2 and 1
    weights = theirs.get_weights()
    for update, chosen in enumerate([slice(0, 16), slice(16, 32), slice(32, 40)] * 2):
        weights = descended(
            lambda weights, chosen=chosen: float(np.mean((x[chosen] @ weights[0] + weights[1] - y[chosen]) ** 2)),
            weights,
            0.1 / (1 + update),
        )
    assert schedule.asked == list(range(6))
    for mine, expected in zip(ours.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_a_sum_cannot_be_accumulated(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    task = Regression(model, keras.losses.MeanSquaredError(reduction="sum"))
    summed = LearnerBuilder(tmp_path / "run").grads_accumulation(2).build(task, "sgd", 0.1)
    with pytest.raises(ConfigurationError, match="the loss must be a mean"):
        summed.fit(DataLoader((np.zeros((8, 3)), np.zeros(8)), 2))
    assert not (tmp_path / "run").exists()
