"""Models that Keras calls built though some of their layers are not, and models of which it can make no graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import layers
from support.by_hand import Array, descended
from support.training import BACKEND, chunks, learner, numbers, refused, state

from multilearn.errors import DataError
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


def once(x: Array, weights: list[Array]) -> Array:
    return x @ weights[0] + weights[1]


def after_another(x: Array, weights: list[Array]) -> Array:
    return once(once(x, weights[:2]), weights[2:])


# each with what it computes with its trainable weights
MODELS: dict[str, tuple[Callable[[], keras.Model], Callable[[Array, list[Array]], Array]]] = {
    "default": (built(Default), once),
    "scaled": (built(Scaled), lambda x, weights: once(x, weights[1:]) * weights[0]),
    "around": (built(Around), lambda x, weights: once(once(x, weights[3:]) * weights[2], weights[:2])),
    "sequential": (built(lambda: keras.Sequential([layers.Dense(2), Default()])), after_another),
    "no graph": (lambda: keras.Sequential([keras.Input((4,)), Shapeless()]), once),
    "no graph inside": (lambda: keras.Sequential([layers.Dense(3), keras.Sequential([Shapeless()])]), after_another),
}


def normed(x: Array, weights: list[Array]) -> Array:
    """The module of torch: of a linear layer, batch normalisation and another one."""
    kernel, bias, scale, shift, last, last_bias = weights
    hidden = x @ kernel.T + bias
    return ((hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5) * scale + shift) @ last.T + last_bias


if BACKEND == "torch":
    MODELS["module of torch"] = (wrapped, normed)


def made(name: str) -> keras.Model:
    ml.set_seed(2)
    return MODELS[name][0]()


@pytest.mark.parametrize(
    ("name", "own"), [*((name, False) for name in MODELS), ("default", True), ("no graph", True), ("around", True)]
)
def test_they_are_trained_and_resumed(tmp_path: Path, name: str, own: bool) -> None:
    def trained(directory: str, **settings: Any) -> keras.Model:
        task: Any = Regression(made(name))
        if own:
            task = _Alone(task)
        run = learner(
            tmp_path / directory,
            task,
            keras.optimizers.SGD(RATE),
            num_epochs=2,
            with_file_checkpointer=(),
            **settings,
        )
        run.fit(ml.DataLoader((X, Y), SIZE, shuffle=False))
        return task.model

    whole = trained("whole")
    drawn = made(name)
    drawn(X[:2])
    compute, expected = MODELS[name][1], [keras.ops.convert_to_numpy(weight) for weight in drawn.trainable_weights]
    for x, y in chunks((X, Y), SIZE) * 2:
        expected = descended(lambda weights, x=x, y=y: float(np.mean((compute(x, weights) - y) ** 2)), expected, RATE)
    for mine, its in zip(whole.trainable_weights, expected, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(mine), its, rtol=1e-5, atol=1e-5)
    resumed = state(trained("resumed", checkpoint=(1, tmp_path / "whole")))
    assert list(state(whole)) == list(resumed)
    assert all(np.array_equal(value, resumed[key]) for key, value in state(whole).items())


class _Alone:
    """The same step without `inputs`: only the step knows what goes into the model."""

    def __init__(self, task: Regression) -> None:
        self.model, self.step = task.model, task.step


class Inside(keras.Model):
    """One that Keras builds by calling it, around one that cannot be built."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = keras.Sequential([layers.Dense(4), layers.Reshape((3,))])

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


class Forgotten(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return self.forgotten(inputs)


REFUSED: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...], str]] = {
    "no axis of channels": (
        lambda: keras.Sequential([layers.Conv2D(4, 3)]),
        (8, 8),
        r"expected min_ndim=4",
    ),
    "reshape": (lambda: keras.Sequential([layers.Dense(4), layers.Reshape((3,))]), (4,), r"target_shape=\(3,\)"),
    "inside": (Inside, (4,), r"target_shape=\(3,\)"),
    "own layer": (lambda: keras.Sequential([layers.Dense(4), Forgotten()]), (4,), r"no attribute 'forgotten'"),
}


@pytest.mark.parametrize(("make", "shape", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_model_that_cannot_be_built_is_refused_with_the_cause_that_keras_names(
    tmp_path: Path, make: Callable[[], keras.Model], shape: tuple[int, ...], said: str
) -> None:
    x = numbers(12, *shape)
    with pytest.raises(Exception, match=said):
        make()(x[:8])
    with refused(tmp_path / "run", DataError, rf"inputs of shape \(8, .*{said}.*what the layers of the model take"):
        learner(tmp_path / "run", Regression(make()), "sgd", RATE).fit(ml.DataLoader((x, x[:, :1]), 8))
