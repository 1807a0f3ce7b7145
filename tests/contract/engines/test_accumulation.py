"""Micro-batches equal their joint batch: gradients are averaged, weighted by what the loss divides by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import (
    assert_close,
    assert_equal,
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

ITEMS = 10 * 64
Make = Callable[[], keras.Model]


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


RAGGED = ITEMS - 64 + 37  # ten updates, the last of two whole batches and a ragged one
PADDED = (padded(ITEMS), ids(3, ITEMS, 5))
WEIGHTED = (numbers(RAGGED, 6), ids(3, RAGGED), np.random.default_rng(3).uniform(0, 5, RAGGED).astype("float32"))
CASES: dict[str, tuple[Make, Any, Callable[[], Any], str]] = {
    "masked, SGD": (tagger, PADDED, optimizers.SGD, "sum_over_batch_size"),
    "weighted, Adam": (perceptron, WEIGHTED, optimizers.Adam, "mean_with_sample_weight"),
}


@pytest.mark.parametrize("case", CASES)
def test_four_batches_of_16_are_one_of_64(case: str) -> None:
    make, data, optimizer, reduction = CASES[case]
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    ours, theirs = twins(make)
    before = state(ours)
    for model, size, n in ((ours, 16, 4), (theirs, 64, 1)):
        trained(Classification(model, loss), optimizer(), chunks(data, size), 0.01, n, accumulate=n > 1)
    assert_close(ours, theirs, 1e-5 if optimizer is optimizers.Adam else 1e-6)
    assert any(value.tobytes() != before[key].tobytes() for key, value in state(theirs).items())


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_a_batch_in_which_nothing_counts_changes_no_window(reduction: str) -> None:
    x, y = padded(48) + 0, ids(3, 48, 5)
    x[16:32] = 0
    without = np.r_[0:16, 32:48]
    ours, theirs = twins(tagger)
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    for model, chosen, n in ((ours, np.arange(48), 3), (theirs, without, 2)):
        batches = chunks((x[chosen], y[chosen]), 16)
        engine = engine_of(Classification(model, loss), optimizers.Adam(), batches[0], accumulate=True)
        losses = train(engine, batches, 0.01, n)
        if n == 3:
            assert losses[1][1] == 0
        engine.release()
    assert_close(ours, theirs, 1e-7)


@pytest.mark.parametrize(
    ("reduction", "accumulate"), [("sum_over_batch_size", True), ("mean_with_sample_weight", False)]
)
def test_an_update_from_nothing_at_all_has_gradient_zero(reduction: str, accumulate: bool) -> None:
    model, untouched = twins(tagger)
    batch = (np.zeros((4, 5), "int32"), ids(3, 4, 5))
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    assert (
        trained(
            Classification(model, loss),
            optimizers.SGD(),
            [batch] * 2,
            0.1,
            2 if accumulate else 1,
            accumulate=accumulate,
        )
        == [(0, 0)] * 2
    )
    assert_equal(model, untouched)


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
    theirs.compile(optimizers.SGD(), "mse")
    updates = [slice(0, 16), slice(16, 32), slice(32, 40)] * 2
    for update, chosen in enumerate(updates):
        theirs.optimizer.learning_rate = 0.1 / (1 + update)
        theirs.train_on_batch(x[chosen], y[chosen])
    assert schedule.asked == list(range(6))
    assert_close(ours, theirs, 1e-6)


def test_a_loss_that_is_a_sum_cannot_be_accumulated(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    task = Regression(model, keras.losses.MeanSquaredError(reduction="sum"))
    summed = LearnerBuilder(tmp_path / "run").grads_accumulation(2).build(task, "sgd", 0.1)
    with pytest.raises(ConfigurationError, match="the loss must be a mean"):
        summed.fit(DataLoader((np.zeros((8, 3)), np.zeros(8)), 2))
    assert not (tmp_path / "run").exists()
