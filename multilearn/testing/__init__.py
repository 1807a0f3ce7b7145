"""A pytest plugin that checks the promise on the user's model: one experiment, on every framework.

In `conftest.py` (loaded in every test suite there is, it would choose a framework for Keras in all of them):

    pytest_plugins = ["multilearn.testing"]

A test asks for the fixture `identical` and hands it a function that trains, with a `LearnerBuilder` to begin from:

    def train(builder):
        model = keras.Sequential([keras.layers.Dense(10)])
        builder.num_epochs(2).build(Classification(model), "adam", 1e-3).fit(loader, valid)

    def test_every_framework_has_the_same_curve(identical):
        identical.curves(train)
"""

from __future__ import annotations

from multilearn.testing.plugin import identical, pytest_addoption
from multilearn.testing.promise import Identical

__all__ = ["Identical", "identical", "pytest_addoption"]
