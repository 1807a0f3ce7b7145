"""What was tried leaves no trace: a fit after a trial is the fit without one, bit for bit."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import multilearn as ml
from multilearn.errors import ConfigurationError
from multilearn.trials import LearningRateSweep
from multilearn_keras import Classification, Turn

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


class Noisy(layers.Layer):
    """Makes its weights when it is built, and draws without a seed, which Keras refuses on JAX."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator() if keras.backend.backend() == "jax" else None

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, x: Any, training: bool = False) -> Any:
        noise = keras.random.normal(ops.shape(x), stddev=0.1, seed=self.seed) if training else 0.0
        return x * (1.0 + self.scale) + noise


def network() -> keras.Model:
    """Not built; with weights, statistics, seeds and draws without a seed."""
    return keras.Sequential(
        [Noisy(), layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(2)]
    )


@dataclass
class Drawing:
    """A loader that draws from the global generators."""

    seen: list[int] = field(default_factory=list)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for number in range(start, 4):
            noise = np.random.normal(size=(10, 1)).astype("float32") + random.random()
            yield X[10 * number : 10 * number + 10] + np.float32(0.01) * noise.astype("float32"), Y[:10]


class Shuffled(keras.utils.PyDataset):
    """Shuffles itself where an epoch ends."""

    def __init__(self) -> None:
        super().__init__()
        self.order = np.arange(40)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Any:
        rows = self.order[10 * number : 10 * number + 10]
        return X[rows], Y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def loader() -> ml.DataLoader:
    return ml.DataLoader((X, Y), batch_size=10, shuffle=True)


def compiled() -> keras.Model:
    model = network()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def curve(directory: Path, model: Any, optimizer: Any, data: Any, lr: float | None = 1e-2) -> list[Any]:
    builder = ml.LearnerBuilder(directory).num_epochs(2).with_file_checkpointer()
    learner = builder.renderer(ml.renderers.SilentRenderer()).build(model, optimizer, lr)
    learner.fit(data, data)
    return [*learner.history["train"]["Loss"], *learner.history["valid"]["Loss"], random.random(), np.random.rand()]


def sweep(model: Any, optimizer: Any, data: Any, **options: Any) -> LearningRateSweep:
    return ml.find_learning_rate(model, optimizer, data, **{"updates": 10, **options})


CASES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "a model that is not built, and a loader that draws": lambda: (
        Classification(network()),
        keras.optimizers.Adam(),
        Drawing(),
    ),
    "a compiled model": lambda: (compiled(), None, loader()),
    "a PyDataset that shuffles": lambda: (Classification(network()), "sgd", Shuffled()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fit_after_trials_is_the_fit_without_them(tmp_path: Path, case: str) -> None:
    curves = []
    for tried in (False, True):
        ml.set_seed(3)
        made = CASES[case]()
        if tried:
            sweep(*made)
            ml.overfit(*made, batches=2, updates=6)
        curves.append(curve(tmp_path / str(tried), *made))
    assert curves[0] == curves[1]


def state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[bytes]:
    """All variables of a model and its optimizer."""
    return [np.asarray(ops.convert_to_numpy(v)).tobytes() for v in (*model.variables, *optimizer.variables)]


class Ending:
    """A loader at whose seventh batch something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self.happens = happens

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        for number in range(10):
            if number == 6:
                self.happens()
            yield X[:8], Y[:8]


def failing() -> None:
    raise RuntimeError("the disk is gone")


def interrupted() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("happens", "error"), [(failing, RuntimeError), (interrupted, KeyboardInterrupt)])
def test_what_fails_or_is_interrupted_leaves_no_trace_either(
    tmp_path: Path, happens: Callable[[], None], error: type[BaseException]
) -> None:
    ml.set_seed(3)
    model, optimizer = network(), keras.optimizers.Adam()
    curve(tmp_path, Classification(model), optimizer, loader())
    before, handler = state(model, optimizer), signal.getsignal(signal.SIGINT)
    with pytest.raises(error):
        sweep(Classification(model), optimizer, Ending(happens))
    assert state(model, optimizer) == before
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="elsewhere a step takes no memory over")
def test_a_step_that_ends_with_the_memory_of_the_model_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    from multilearn_keras.engines.jax.engine import JaxEngine

    def lost(engine: Any) -> None:
        for array in engine._now.trained:
            array.delete()
        raise KeyboardInterrupt

    ml.set_seed(3)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    before = model.get_weights()
    monkeypatch.setattr(JaxEngine, "_share", lost)
    with pytest.raises(KeyboardInterrupt):
        sweep(Classification(model), "sgd", loader())
    assert all((now == then).all() for now, then in zip(model.get_weights(), before, strict=True))


def test_a_sweep_trains_with_the_rates_that_it_says() -> None:
    """Against Keras' own optimizer, update by update."""
    ml.set_seed(3)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    found = sweep(Classification(model), keras.optimizers.SGD(), ml.DataLoader((X, Y), 10), lowest=1e-3, highest=1e-1)
    kernel, bias = twin.get_weights()
    expected = []
    for update in range(10):
        rows = slice(10 * (update % 4), 10 * (update % 4) + 10)
        logits = X[rows] @ kernel + bias
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected.append(-np.log(shares[np.arange(10), Y[rows]]).mean())
        slope = (shares - np.eye(2)[Y[rows]]) / 10
        rate = 1e-3 * 100 ** (update / 9)
        kernel, bias = kernel - rate * X[rows].T @ slope, bias - rate * slope.sum(axis=0)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-3, 1e-1, 10), rtol=1e-12)


class Game:
    """A task of two losses, each with an optimizer."""

    def __init__(self) -> None:
        self.model, self.other = layers.Dense(1), layers.Dense(1)
        self.turns = {"one": Turn(self.model, self.play), "other": Turn(self.other, self.play)}

    def play(self, batch: Any, training: bool) -> ml.outputs.Output:
        return ml.outputs.Output(ops.mean(self.other(self.model(batch[0]))), 1)


def test_a_task_with_turns_is_refused() -> None:
    task = Game()
    for trial in (ml.find_learning_rate, ml.overfit):
        with pytest.raises(ConfigurationError, match="a task with turns: 'one', 'other'"):
            trial(task, "sgd", loader())
