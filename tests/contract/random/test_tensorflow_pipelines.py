"""What tf.data shuffles and draws is a function of the experiment's seed and the same under every framework."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
import pytest
from support.training import BACKEND, assert_equal, learner, numbers

from multilearn.data import as_loader

if find_spec("tensorflow") is None:
    pytest.skip("tensorflow is not installed", allow_module_level=True)

tf: Any = importlib.import_module("tensorflow")
ITEMS = 20
X = numbers(ITEMS, 3)


def pipelines() -> dict[str, Any]:
    items = tf.data.Dataset.range(ITEMS)
    return {
        "seeded": items.shuffle(ITEMS, seed=3),
        "unseeded": items.shuffle(ITEMS),
        "one order": items.shuffle(ITEMS, seed=3, reshuffle_each_iteration=False),
        "sampled": tf.data.Dataset.sample_from_datasets([items, items.shuffle(9, seed=1)], [0.5, 0.5], seed=2),
        "drawn in a map": items.map(lambda item: tf.random.uniform((), 0, 999, tf.int64, seed=4)),
    }


def orders(epochs: int = 2) -> dict[str, list[list[int]]]:
    return {name: [[int(item) for item in dataset] for _ in range(epochs)] for name, dataset in pipelines().items()}


LATE = """
import sys
import multilearn as ml
ml.set_seed(5)
ml.set_seed(7)
from importlib.util import find_spec
if ml.backend.chosen() != "tensorflow":
    assert find_spec("tensorflow") is not None and "tensorflow" not in sys.modules
import tensorflow as tf
print([int(item) for item in tf.data.Dataset.range(20).shuffle(20, seed=3)])
"""


def test_orders_and_draws_follow_from_the_seed_of_the_experiment() -> None:
    tf.random.set_seed(7)
    expected = orders()
    ml.set_seed(7)
    assert orders() == expected
    ml.set_seed(8)
    assert orders()["seeded"] != expected["seeded"]


def test_tensorflow_is_seeded_where_the_script_imports_it_after_set_seed_and_is_not_imported_before() -> None:
    tf.random.set_seed(7)
    expected = [int(item) for item in tf.data.Dataset.range(20).shuffle(20, seed=3)]
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=240)
    assert done.stdout.strip() == str(expected), done.stderr


@pytest.mark.parametrize("seed", [3, None])
def test_one_epoch_and_another_one_are_two_in_one_process_and_in_two(seed: int | None, tmp_path: Path) -> None:
    def run(name: str, epochs: int, data: Any = None, **settings: Any) -> tuple[keras.Model, Any]:
        ml.set_seed(7)
        if data is None:
            data = tf.data.Dataset.from_tensor_slices((X, X[:, :1])).shuffle(ITEMS, seed=seed).batch(5)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        learner(tmp_path / name, model, None, num_epochs=epochs, with_file_checkpointer=(), **settings).fit(data)
        return model, data

    whole, _ = run("whole", 3)
    _, data = run("parts", 1)
    for name, resumed_with in (("another process", None), ("the same process", data)):
        resumed, _ = run(name, 3, resumed_with, checkpoint=(1, tmp_path / "parts"))
        assert_equal(whole, resumed)


def test_a_loader_that_repeats_itself_is_told_from_one_that_does_not() -> None:
    ml.set_seed(7)
    base = tf.data.Dataset.from_tensor_slices(np.arange(6))
    for seed in (3, None):
        assert as_loader(base.shuffle(6, seed=seed).batch(2), "training").resumes_inside_epoch, BACKEND
