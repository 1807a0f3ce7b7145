"""A loader that may have no end is named once, and how to bound it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import toy_experiment as toy
from toy_backend import Momentum

import multilearn as ml
from multilearn.data.epochs import EpochLength
from multilearn.events import Split

BATCH = toy.arrays(2)


class Longer:
    """As many batches in each epoch as given, the last of them again and again."""

    def __init__(self, *batches: int) -> None:
        self._batches = iter(batches)

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(BATCH, next(self._batches))


class Claiming(Longer):
    def __len__(self) -> int:
        return 3


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in caplog.records if "epoch_of" in (text := record.getMessage())]


def fit(directory: Path, train: Any, valid: Any = None, epochs: int = 1) -> None:
    builder = ml.LearnerBuilder(directory).renderer(ml.renderers.SilentRenderer()).metric_loggers().num_epochs(epochs)
    builder.build(toy.task(), Momentum(), 0.0).fit(train, valid)


def test_an_epoch_of_unknown_length_is_named_after_a_thousand_batches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tmp_path / "short", Longer(999))
    assert not warnings(caplog)
    fit(tmp_path / "long", Longer(1001), Longer(1001))
    train, valid = warnings(caplog)
    assert "Epoch 1 has had 1000 batches of training data, and the training loader does not know its length." in train
    assert "multilearn.epoch_of(loader, n)" in train and "multilearn.take(loader, n)" in train
    assert "of validation data" in valid


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (
            Longer(10, 11, 120, 1300),
            "Epoch 3 has had 110 batches of training data, and the longest epoch so far had 11.",
        ),
        (
            Claiming(101, 3, 3, 500),
            "Epoch 1 has had 100 batches of training data, and the length of the training loader is 3",
        ),
    ],
    ids=["unknown", "known"],
)
def test_an_epoch_far_longer_than_those_before_is_named_once(
    loader: Any, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(tmp_path / "run", loader, epochs=4)
    (text,) = warnings(caplog)
    assert said in text


def test_what_is_far_longer() -> None:
    assert EpochLength(Split.TRAIN, None).suspicious == 1000
    assert EpochLength(Split.TRAIN, 5).suspicious == 100
    assert EpochLength(Split.TRAIN, 50).suspicious == 500
    seen = EpochLength(Split.TRAIN, 50)
    assert sum(1 for _ in seen.counted(range(70), 1)) == 70
    assert seen.suspicious == 700


def test_an_evaluation_over_an_endless_loader_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluator = ml.Evaluator(tmp_path / "run", renderer=ml.renderers.SilentRenderer())
    evaluator.evaluate(toy.task(), itertools.repeat(BATCH, 1200))
    assert ["of test data" in text for text in warnings(caplog)] == [True]
