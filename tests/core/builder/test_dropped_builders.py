"""A method of the builder whose result is dropped is named when the builder is built."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import pytest
from support import toy_experiment as toy

import multilearn as ml


def test_a_result_that_is_dropped_is_named(tmp_path: Path) -> None:
    builder = toy.builder(tmp_path)
    builder.num_epochs(5)
    builder.metrics(ml.metrics.LearningRate()).summary()
    with pytest.warns(UserWarning) as caught:
        toy.build(builder)
    assert [str(warning.message) for warning in caught] == [
        "Each method returns a new builder: that of .num_epochs(...) was dropped.",
        "Each method returns a new builder: that of .metrics(...) was dropped.",
    ]
    assert caught[0].filename.endswith("toy_experiment.py")  # where build is called


def test_results_that_are_kept_or_built_are_not(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        base = toy.builder(tmp_path / "base")
        toy.build(base.num_epochs(5).summary())
        kept = base.metric_train(ml.metrics.LearningRate())
        toy.build(base)
        toy.build(kept)
        builder = toy.builder(tmp_path / "again")
        builder = builder.num_epochs(2)
        toy.build(builder)


def test_a_builder_is_copied_as_ever(tmp_path: Path) -> None:
    builder = toy.builder(tmp_path).num_epochs(2)
    assert copy.copy(builder) == builder == copy.deepcopy(builder) == pickle.loads(pickle.dumps(builder))
    assert "_branch" not in repr(builder)
