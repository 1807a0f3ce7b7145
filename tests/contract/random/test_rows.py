"""What several processes draw of a batch is what one draws: the same numbers, each its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import ops
from support.training import BACKEND

from multilearn.protocols import Shard, rows_of
from multilearn_keras.random.rows import begin_step, own_rows, varying_axes

if BACKEND == "jax":
    pytest.skip("on JAX one process has all devices", allow_module_level=True)

SHAPES = {
    "first axis": lambda items: (items, 5),
    "three for an item": lambda items: (3 * items, 3),
    "second axis": lambda items: (2, items, 3),
    "last axis": lambda items: (3, items),
    "no axis": lambda items: (4, 3),
}
DRAWS = {
    "uniform": lambda shape, seed: keras.random.uniform(shape, seed=seed),
    "normal": lambda shape, seed: keras.random.normal(shape, seed=seed),
    "truncated": lambda shape, seed: keras.random.truncated_normal(shape, seed=seed),
    "randint": lambda shape, seed: keras.random.randint(shape, 0, 1000, seed=seed),
    "gamma": lambda shape, seed: keras.random.gamma(shape, 0.7, seed=seed),
    "wide gamma": lambda shape, seed: keras.random.gamma(shape, 0.7, dtype="float64", seed=seed),
    "dropout": lambda shape, seed: keras.random.dropout(ops.ones(shape), 0.3, seed=seed),
    "rare dropout": lambda shape, seed: keras.random.dropout(ops.ones(shape), 0.01, seed=seed),
}


SLOW = ("gamma", "wide gamma")
CASES = [(name, draw) for name in SHAPES for draw in DRAWS if draw not in SLOW or name == "second axis"]
TOTAL, SIZE = 11, 3


def joined(name: str, parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if name == "no axis" else np.concatenate(parts, {"second axis": 1, "last axis": 1}.get(name, 0))


@pytest.mark.parametrize("seeded", ["by a number", "by a generator"])
@pytest.mark.parametrize(("name", "draw"), CASES)
def test_the_parts_of_all_processes_are_one_draw(name: str, draw: str, seeded: str) -> None:
    ml.set_seed(3)
    shape, drawn = SHAPES[name], DRAWS[draw]

    def step(items: int) -> np.ndarray:
        begin_step()
        seed = 5 if seeded == "by a number" else keras.random.SeedGenerator(5)
        keras.random.uniform((2,), seed=1)  # another draw, the same for all
        return ops.convert_to_numpy(drawn(shape(items), seed))

    axes = varying_axes(step)
    parts = []
    for rank in range(SIZE):
        first, end, whole = rows_of(TOTAL, rank, SIZE)
        with own_rows(Shard(None, first, TOTAL, whole), axes):
            parts.append(step(end - first))
    expected = step(TOTAL)
    # what a number seeds is computed on the host otherwise, where the last digits are others
    exact = draw in ("randint", "dropout", "rare dropout")
    np.testing.assert_allclose(joined(name, parts), expected, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="graphs for any number of items are TensorFlow's")
@pytest.mark.parametrize("draw", ["uniform", "dropout", "rare dropout"])
@pytest.mark.parametrize("name", SHAPES)
def test_one_graph_draws_the_part_of_every_process(name: str, draw: str) -> None:
    import tensorflow as tf

    shape, drawn, seed = SHAPES[name], DRAWS[draw], keras.random.SeedGenerator(5)
    key = ops.convert_to_numpy(seed.state.value)

    def step(items: Any) -> Any:
        begin_step()
        return drawn(shape(items), seed)

    axes = varying_axes(step)

    @tf.function(input_signature=[tf.TensorSpec((), tf.int32)] * 2)
    def part(first: Any, end: Any) -> Any:
        with own_rows(Shard(None, first, tf.constant(TOTAL), False), axes):
            return step(end - first)

    places = [rows_of(TOTAL, rank, SIZE) for rank in range(SIZE)]
    parts = []
    for first, end, _ in places:
        seed.state.assign(key)
        parts.append(part(tf.constant(first), tf.constant(end)).numpy())
    seed.state.assign(key)
    np.testing.assert_array_equal(joined(name, parts), ops.convert_to_numpy(step(TOTAL)))
