"""Loaders that use the memory of their batches again train, validate, evaluate and predict on what they yielded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from support.training import BACKEND, learner, numbers, state

from multilearn.data.aligned import empty
from multilearn_keras import Regression

BATCHES, SIZE, WIDTH = 6, 8, 320
X, Y = numbers(BATCHES * SIZE, WIDTH), numbers(BATCHES * SIZE, seed=1)
"""Batches of more than 8 KiB: what is smaller, frameworks copy in any case."""


def slices(start: int) -> Iterator[slice]:
    return (slice(number * SIZE, number * SIZE + SIZE) for number in range(start, BATCHES))


def copies(start: int = 0) -> Iterator[Any]:
    return ((X[rows].copy(), Y[rows].copy()) for rows in slices(start))


def refilled(start: int = 0) -> Iterator[Any]:
    x, y = np.empty((SIZE, WIDTH), "float32"), np.empty(SIZE, "float32")
    for rows in slices(start):
        x[:], y[:] = X[rows], Y[rows]
        yield x, y
    x[:] = np.nan


def undone(start: int = 0) -> Iterator[Any]:
    data = X / 2
    for rows in slices(start):
        view = data[rows]
        view *= 2
        yield view, Y[rows]
        view[:] = np.nan


def mapped_file(path: Path) -> Callable[..., Iterator[Any]]:
    file = np.memmap(path, "float32", "w+", shape=(SIZE, WIDTH))

    def batches(start: int = 0) -> Iterator[Any]:
        for rows in slices(start):
            file[:] = X[rows]
            yield file, Y[rows]

    return batches


def tensors(start: int = 0) -> Iterator[Any]:
    """What the framework has in place of an array, and can be written into: a tensor of torch, a variable."""
    x = None
    for rows in slices(start):
        if BACKEND == "torch":
            import torch

            x = torch.empty((SIZE, WIDTH)) if x is None else x
            x.copy_(torch.from_numpy(X[rows]))
            yield x, torch.from_numpy(Y[rows].copy())
        elif BACKEND == "tensorflow":
            import tensorflow as tf

            x = tf.Variable(X[rows]) if x is None else x.assign(X[rows])
            yield x, tf.constant(Y[rows])
        else:
            import jax

            # over the memory of the array, if it is where JAX wants it
            x = empty((SIZE, WIDTH), np.dtype("float32")) if x is None else x
            x[:] = X[rows]
            yield jax.device_put(x, may_alias=True), Y[rows]


class Own:
    def __init__(self, batches: Callable[..., Iterator[Any]]) -> None:
        self._batches = batches

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return self._batches(start)


class InDataset(keras.utils.PyDataset):
    def __init__(self) -> None:
        super().__init__()
        self.x = np.empty((SIZE, WIDTH), "float32")

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, number: int) -> Any:
        rows = slice(number * SIZE, number * SIZE + SIZE)
        self.x[:] = X[rows]
        return self.x, Y[rows]


def with_collate() -> Any:
    """A torch `DataLoader` whose `collate_fn` fills the same tensor each time."""
    import torch

    x = torch.empty((SIZE, WIDTH))

    def collate(items: list[int]) -> Any:
        return torch.stack([torch.from_numpy(X[item]) for item in items], out=x), torch.from_numpy(Y[items])

    return torch.utils.data.DataLoader(range(len(X)), SIZE, collate_fn=collate)


def results(directory: Path, train: Any, valid: Any, tested: Any, predicted: Any) -> Any:
    """Of 12 steps of training with validation, of an evaluation, and of predictions."""
    ml.set_seed(4)
    model = keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    task = Regression(model)
    fitted = learner(directory, task, keras.optimizers.Adam(), 1e-2, num_epochs=2)
    fitted.fit(train, valid)
    values = ml.Evaluator(directory, renderer=ml.renderers.SilentRenderer()).evaluate(task, tested)
    predictions = [array.tobytes() for array in ml.predict(task, predicted)]
    weights = {key: value.tobytes() for key, value in state(model).items()}
    return weights, fitted.history["train"]["Loss"], fitted.history["valid"]["Loss"], values, predictions


def test_what_is_yielded_is_what_is_trained_on(tmp_path: Path) -> None:
    expected = results(tmp_path / "copies", *[Own(copies)] * 4)
    assert np.isfinite(expected[1]).all()
    in_file = Own(mapped_file(tmp_path / "x"))
    assert results(tmp_path / "one", Own(refilled), Own(undone), in_file, Own(tensors)) == expected
    assert results(tmp_path / "two", Own(tensors), in_file, InDataset(), Own(refilled)) == expected
    if find_spec("torch") is not None:
        assert results(tmp_path / "three", with_collate(), InDataset(), refilled, with_collate()) == expected
