"""Batches in memory that the framework uses as it is train and evaluate like copies elsewhere, bit for bit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, optimizers
from support.training import engine_of, evaluate, losses, numbers, train, twins

import multilearn as ml
from multilearn.data.aligned import copied, is_lent
from multilearn_keras import Classification

ITEMS, SIZE = 320, 64


def elsewhere(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy where no framework can use it as it is."""
    memory = np.empty(array.nbytes + array.itemsize, np.uint8)
    offset = array.itemsize if memory.ctypes.data % 64 == 0 else 0
    found: np.ndarray[Any, Any] = np.ndarray(array.shape, array.dtype, memory.data, offset)
    found[...] = array
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_lent_batches_train_and_evaluate_like_copies(dtype: str) -> None:
    x = (10 * numbers(ITEMS, 160)).astype(dtype)
    y = np.arange(ITEMS, dtype="int32") % 3
    lent = list(ml.DataLoader((x, y), SIZE, shuffle=True))
    assert all(is_lent(batch[0]) for batch in lent)
    copies = [(elsewhere(one), other) for one, other in lent]
    one, other = twins(lambda: keras.Sequential([keras.Input((160,)), layers.Rescaling(0.1), layers.Dense(3)]))
    found = []
    for model, batches in ((one, lent), (other, copies)):
        engine = engine_of(Classification(model), optimizers.SGD(), batches[0])
        found.append(train(engine, batches, 0.01) + evaluate(engine, batches))
        engine.finish()
    assert found[0] == found[1]
    for weight, twin in zip(one.get_weights(), other.get_weights(), strict=True):
        assert weight.tobytes() == twin.tobytes()


def test_memory_of_a_batch_is_not_given_to_the_next_one_while_it_is_used() -> None:
    (model, _) = twins(lambda: keras.Sequential([keras.Input((160,)), layers.Dense(3)]))
    y = np.arange(SIZE, dtype="int32") % 3
    arrays = [numbers(SIZE, 160, seed=number) for number in range(20)]
    engine = engine_of(Classification(model), optimizers.SGD(), (arrays[0], y))
    found = losses(engine, [engine.eval_step((copied(x), y)) for x in arrays])
    assert found == evaluate(engine, [(x, y) for x in arrays])
