"""Optimizers and learning rates, as `build` takes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.keyed_models import OPTIMIZERS
from support.training import chunks, engine_of, learner, numbers, refused, train

import multilearn as ml
from multilearn import DataLoader, schedulers
from multilearn.errors import ConfigurationError
from multilearn_keras import Regression
from multilearn_keras.state.keys import flatten

X, Y = numbers(32, 4), numbers(32, 1, seed=1)
BATCHES = chunks((X, Y), 8)


def model() -> keras.Model:
    ml.set_seed(1)
    return keras.Sequential([keras.Input((4,)), layers.Dense(1)])


def gradients(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Of the mean squared error of `model`."""
    error = 2 * (x @ weights[0] + weights[1] - y) / len(x)
    return [x.T @ error, error.sum(0)]


def descended(trained: keras.Model, rates: Iterable[float]) -> list[np.ndarray]:
    """The weights of `model` after gradient descent with these rates, in epochs of `BATCHES`."""
    weights = [each.astype("float64") for each in trained.get_weights()]
    for rate, batch in zip(rates, itertools.cycle(BATCHES), strict=False):
        weights = [w - rate * g for w, g in zip(weights, gradients(weights, *batch), strict=True)]
    return weights


def by_adam(trained: keras.Model, rate: float, steps: int) -> list[np.ndarray]:
    """The weights after steps of Adam."""
    weights = [each.astype("float64") for each in trained.get_weights()]
    means, squares = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step, batch in zip(range(1, steps + 1), itertools.cycle(BATCHES), strict=False):
        found = gradients(weights, *batch)
        means = [0.9 * m + 0.1 * g for m, g in zip(means, found, strict=True)]
        squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, found, strict=True)]
        scale = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        moves = [scale * m / (np.sqrt(s) + 1e-7) for m, s in zip(means, squares, strict=True)]
        weights = [w - move for w, move in zip(weights, moves, strict=True)]
    return weights


def assert_has(trained: keras.Model, weights: list[np.ndarray]) -> None:
    for found, expected in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def build(tmp_path: Any, trained: Any, optimizer: Any, lr: Any = 0.1) -> Any:
    return learner(tmp_path / "run", trained, optimizer, lr)


PLAIN = {"sgd", "sgd, momentum", "adam", "adam, clipped", "adamw", "rmsprop", "scaled sgd"}  # others say more


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in PLAIN])
def test_every_optimizer_goes_on_from_its_record(name: str) -> None:
    engine = engine_of(Regression(model()), OPTIMIZERS[name](), BATCHES[0])
    train(engine, BATCHES[:2], 0.01)
    record = engine.record()
    ends = []
    for _ in range(2):
        losses = train(engine, BATCHES[2:], 0.01)
        end = engine.record()
        ends.append((losses, [t.array.tobytes() for part in ("model", "optim") for t in flatten(end[part]).values()]))
        engine.restore(record)
    engine.release()
    assert ends[0] == ends[1]


def schedule() -> Any:
    return optimizers.schedules.InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.5)


DECAYED = [0.1 / (1 + 0.5 * update) for update in range(8)]


@pytest.mark.parametrize(
    ("own", "rates"),
    [(lambda: optimizers.SGD(0.05), [0.05] * 8), (lambda: optimizers.SGD(schedule()), DECAYED)],
    ids=["rate", "schedule"],
)
def test_the_optimizers_own_rate_or_schedule_is_used_where_none_is_given(tmp_path: Any, own: Any, rates: Any) -> None:
    trained = model()
    trained.compile(own(), "mse")
    expected = descended(trained, rates)
    learner(tmp_path / "run", trained, None, None, num_epochs=2).fit(DataLoader((X, Y), 8))
    assert_has(trained, expected)


@pytest.mark.parametrize(
    ("lr", "rates"),
    [
        (schedulers.Linear(0.1, 0.02), [0.1, 0.08, 0.06, 0.04]),
        (0.03, [0.03] * 4),
        (schedule(), DECAYED[:4]),
    ],
    ids=["ours", "a number", "a schedule of Keras"],
)
def test_a_rate_that_is_given_goes_before_the_optimizers_own_schedule(tmp_path: Any, lr: Any, rates: Any) -> None:
    trained = model()
    expected = descended(trained, rates)
    own = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    build(tmp_path, Regression(trained), optimizers.SGD(own), lr).fit(DataLoader((X, Y), 8))
    assert_has(trained, expected)


def test_an_optimizer_may_be_named(tmp_path: Any) -> None:
    trained = model()
    expected = descended(trained, [0.1] * 4)
    learner(tmp_path / "run", Regression(trained), "SGD", 0.1).fit(DataLoader((X, Y), 8))
    assert_has(trained, expected)


def own_step() -> keras.Model:
    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            raise NotImplementedError

    x = keras.Input((4,))
    made = Own(x, layers.Dense(1)(x))
    made.compile("sgd", "mse")
    return made


def frozen() -> keras.Model:
    made = model()
    made.trainable = False
    return made


def built_for(other: keras.Model) -> Any:
    optimizer = optimizers.Adam()
    optimizer.build(other.trainable_variables)
    return optimizer


REFUSED = {
    "a bare model": (model, "sgd", "not compiled.*Classification"),
    "no model at all": (lambda: 3, "sgd", "int.*Classification"),
    "a layer": (lambda: layers.Dense(3), "sgd", "Dense.*Classification"),
    "its own train_step": (own_step, None, "train_step"),
    "its own train_step in a task": (lambda: Regression(own_step()), "sgd", "train_step"),
    "no optimizer for a task": (lambda: Regression(model()), None, "Adam"),
    "a class": (lambda: Regression(model()), optimizers.Adam, "parentheses"),
    "nothing to train": (lambda: Regression(frozen()), "sgd", "trainable=True"),
    "an unknown name": (lambda: Regression(model()), "adamm", "adamm"),
    "its own accumulation": (
        lambda: Regression(model()),
        lambda: optimizers.Adam(gradient_accumulation_steps=4),
        r"grads_accumulation\(4\)",
    ),
    "its own accumulation, scaled": (
        lambda: Regression(model()),
        lambda: optimizers.LossScaleOptimizer(optimizers.Adam(gradient_accumulation_steps=4)),
        r"grads_accumulation\(4\)",
    ),
    "another model's": (lambda: Regression(model()), lambda: built_for(model()), "another model.*Adam"),
    "a model with other trainable weights": (lambda: Regression(frozen()), lambda: built_for(model()), "another model"),
}

if hasattr(optimizers, "MultiOptimizer"):  # an older Keras has none
    REFUSED["several in one"] = (
        lambda: Regression(model()),
        lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD())),
        "one learning rate",
    )


@pytest.mark.parametrize(("trained", "optimizer", "said"), REFUSED.values(), ids=REFUSED)
def test_build_refuses_with_the_remedy(trained: Any, optimizer: Any, said: str, tmp_path: Any) -> None:
    made = optimizer() if callable(optimizer) and not isinstance(optimizer, type) else optimizer
    with refused(tmp_path / "run", ConfigurationError, said):
        build(tmp_path, trained(), made)


@pytest.mark.parametrize("lr", ["0.1", True, -1.0, float("nan"), schedulers.Cosine], ids=str)
def test_a_learning_rate_that_is_none_is_refused(lr: Any, tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="learning rate"):
        build(tmp_path, Regression(model()), "sgd", lr)


@pytest.mark.parametrize(
    ("trainable", "optimizer", "said"),
    [(False, lambda: "sgd", "trainable=True"), (True, lambda: built_for(model()), "another model")],
    ids=["nothing to train", "another model's optimizer"],
)
def test_a_model_that_is_built_late_is_checked_then(trainable: bool, optimizer: Any, said: str, tmp_path: Any) -> None:
    late = keras.Sequential([layers.Dense(1, trainable=trainable)])
    with refused(tmp_path / "run", ConfigurationError, said):
        build(tmp_path, Regression(late), optimizer()).fit(DataLoader((X, Y), 8))


def test_an_optimizer_in_use_trains_its_model_further(tmp_path: Any) -> None:
    trained, optimizer = model(), optimizers.Adam()
    expected = by_adam(trained, 0.01, 8)
    for part in ("one", "two"):
        learner(tmp_path / part, Regression(trained), optimizer, 0.01).fit(DataLoader((X, Y), 8))
    assert_has(trained, expected)
    assert int(optimizer.iterations) == 8


def test_numpy_numbers_are_rates(tmp_path: Any) -> None:
    for number in (np.float32(0.1), np.float64(0.1), 1):
        learner(tmp_path / str(type(number)), Regression(model()), "sgd", number)
