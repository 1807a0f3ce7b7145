"""What several processes draw of a batch is what one draws: the same numbers, each its own rows."""

from __future__ import annotations

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from keras import ops
from support.training import BACKEND

from multilearn.protocols import Shard, rows_of
from multilearn_keras.random.rows import begin_step, own_rows, varying_axes

if BACKEND != "torch":
    pytest.skip("processes share batches on torch only", allow_module_level=True)

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


@pytest.mark.parametrize("seeded", ["by a number", "by a generator"])
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_parts_of_all_processes_are_one_draw(name: str, draw: str, seeded: str) -> None:
    ml.set_seed(3)
    shape, drawn, total, size = SHAPES[name], DRAWS[draw], 11, 3

    def step(items: int) -> np.ndarray:
        begin_step()
        seed = 5 if seeded == "by a number" else keras.random.SeedGenerator(5)
        keras.random.uniform((2,), seed=1)  # another draw, the same for all
        return ops.convert_to_numpy(drawn(shape(items), seed))

    axes = varying_axes(step)
    parts = []
    for rank in range(size):
        first, end, whole = rows_of(total, rank, size)
        with own_rows(Shard(None, first, total, whole), axes):
            parts.append(step(end - first))
    expected = step(total)
    axis = {"second axis": 1, "last axis": 1}.get(name, 0)
    joined = parts[0] if name == "no axis" else np.concatenate(parts, axis=axis)
    # what a number seeds is computed on the host otherwise, where the last digits are others
    exact = draw in ("randint", "dropout", "rare dropout")
    np.testing.assert_allclose(joined, expected, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
