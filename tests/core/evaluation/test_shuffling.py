"""Predictions over a loader that shuffles, or leaves items out, are not in the order of the data: said at the call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import toy_experiment as toy

import multilearn as ml

X, Y = toy.arrays(10)


def said(loader: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    assert len(list(ml.predict(toy.task(), loader)))
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


class Own:
    shuffle = True

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Any:
        yield X, Y


def test_predicting_over_a_shuffled_loader_warns(caplog: pytest.LogCaptureFixture) -> None:
    for loader in (ml.DataLoader((X, Y), 4, shuffle=True), Own()):
        (text,) = said(loader, caplog)
        assert "not one for each item in the order of the data, for it shuffles. Give predict a loader without" in text
    (text,) = said(ml.DataLoader((X, Y), 4, drop_last=True), caplog)
    assert "it leaves out the last 2 items (drop_last)" in text
    for loader in (
        ml.DataLoader((X, Y), 4),
        ml.DataLoader((X, Y), 5, drop_last=True),
        [(X, Y)],
        lambda: iter([(X, Y)]),
    ):
        assert not said(loader, caplog)


def test_evaluating_over_one_does_not(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = ml.Evaluator(tmp_path / "run", renderer=ml.renderers.SilentRenderer())
    assert np.isfinite(evaluator.evaluate(toy.task(), ml.DataLoader((X, Y), 4, shuffle=True))["Loss"])
    assert not caplog.records
