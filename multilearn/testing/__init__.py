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

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from multilearn import backend
from multilearn.testing.promise import Identical

__all__ = ["Identical", "identical", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--multilearn-backends` and `--multilearn-runs`."""
    group = parser.getgroup("multilearn", "the same experiment on every framework")
    group.addoption(
        "--multilearn-backends", metavar="B,B", help="compare these backends, instead of all that are installed"
    )
    group.addoption(
        "--multilearn-runs",
        type=Path,
        metavar="DIR",
        help="keep runs here, and compare with those that other environments of a matrix have left here",
    )


@pytest.fixture
def identical(request: pytest.FixtureRequest, tmp_path: Path) -> Identical:
    """Holds a function that trains to the promise: see `multilearn.testing.Identical`."""
    kept: Path | None = request.config.getoption("--multilearn-runs")
    folder = tmp_path if kept is None else kept.resolve() / re.sub(r"[^\w.-]+", "-", request.node.nodeid)
    folder.mkdir(parents=True, exist_ok=True)
    asked: str | None = request.config.getoption("--multilearn-backends")
    return Identical(_backends(asked), folder, kept is not None, pytest.skip)


def _backends(asked: str | None) -> Sequence[str]:
    if asked is None:
        return [name for name in backend.known() if backend.installed(name)]
    names = list(dict.fromkeys(name.strip() for name in asked.split(",")))
    for name in names:
        backend.check_name(name)
    return names
