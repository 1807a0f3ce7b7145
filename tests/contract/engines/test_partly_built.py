"""Models that Keras calls built though some of their layers are not, and models of which it can make no graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers
from support.training import BACKEND, learner, numbers, state

from multilearn_keras import Regression

X = numbers(32, 4)
Y = X.sum(axis=1, keepdims=True)
SIZE, RATE = 8, 0.1


class Default(keras.Model):
    """`build` is Keras' own, which builds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


class Scaled(Default):
    """`build` makes a weight of the model itself, and leaves the layer."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs) * self.scale


class Around(Default):
    """`build` builds one of its layers, which leaves the layer inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Scaled()

    def build(self, shape: Any) -> None:
        self.inner.build(shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.dense(self.inner(inputs))


class Shapeless(layers.Layer):
    """Only calling it tells the shape of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(1)

    def build(self, shape: Any) -> None:
        self.inner.build(shape)
        self.built = True

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


def built(kind: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    def make() -> keras.Model:
        model = kind()
        with warnings.catch_warnings():
            # Keras says itself that there is no build method
            warnings.simplefilter("ignore")
            model.build((None, 4))
        return model

    return make


def wrapped() -> keras.Model:
    import torch

    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    return keras.Sequential([keras.Input((4,)), layers.TorchModuleWrapper(module)])


MODELS: dict[str, Callable[[], keras.Model]] = {
    "default": built(Default),
    "scaled": built(Scaled),
    "around": built(Around),
    "sequential": built(lambda: keras.Sequential([layers.Dense(2), Default()])),
    "no graph": lambda: keras.Sequential([keras.Input((4,)), Shapeless()]),
    "no graph inside": lambda: keras.Sequential([layers.Dense(3), keras.Sequential([Shapeless()])]),
    **({"module of torch": wrapped} if BACKEND == "torch" else {}),
}


def made(name: str) -> keras.Model:
    ml.set_seed(2)
    return MODELS[name]()


@cache
def fitted(name: str) -> list[np.ndarray]:
    """The weights after an epoch of Keras' own fit."""
    model = made(name)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, batch_size=SIZE, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    ("name", "own"), [*((name, False) for name in MODELS), ("default", True), ("no graph", True), ("around", True)]
)
def test_they_are_trained_as_by_fit_and_resumed(tmp_path: Path, name: str, own: bool) -> None:
    def trained(directory: str, epochs: int, **settings: Any) -> keras.Model:
        task: Any = Regression(made(name))
        if own:
            task = _Alone(task)
        run = learner(
            tmp_path / directory,
            task,
            keras.optimizers.SGD(RATE),
            num_epochs=epochs,
            with_file_checkpointer=(),
            **settings,
        )
        run.fit(ml.DataLoader((X, Y), SIZE, shuffle=False))
        return task.model

    ours = trained("parts", 1)
    for mine, its in zip(ours.get_weights(), fitted(name), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-6)
    whole, resumed = state(trained("whole", 2)), state(trained("parts", 2, checkpoint="latest"))
    assert list(whole) == list(resumed)
    assert all(np.array_equal(whole[key], resumed[key]) for key in whole)


class _Alone:
    """The same step without `inputs`: only the step knows what goes into the model."""

    def __init__(self, task: Regression) -> None:
        self.model, self.step = task.model, task.step
