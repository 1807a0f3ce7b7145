"""Names that are wrong by a letter, or those of other libraries, are refused with the ones that are meant."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest

import multilearn as ml
from multilearn.errors import UnknownArgument


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        (lambda: ml.metrics.F1, "FBetaScore"),
        (lambda: ml.metrics.Acuracy, "Accuracy"),
        (lambda: ml.Dataloader, "DataLoader"),
        (lambda: ml.Trainer, "LearnerBuilder"),
        (lambda: ml.early_stopping.EarlyStopping, "early_stopping.NoImprovement"),
        (lambda: ml.schedulers.Cosin, "Cosine"),
        (lambda: ml.LearnerBuilder("runs/a").num_epoch, "num_epochs"),
        (lambda: ml.LearnerBuilder("runs/a").summery, "summary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_name_is_answered_by_the_one_that_is_meant(wrong: Callable[[], object], meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"Did you mean {meant}\?"):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: ml.early_stopping.NoImprovement(patience=3),
            r"NoImprovement takes .*For patience: .*epochs\?$",
        ),
        (
            lambda: ml.checkpoint.KeepBest(monitor="Loss", mode="lowest"),
            r"monitor: did you mean metric\?; mode: .*direction",
        ),
        (lambda: ml.schedulers.Cosine(0.1, decay_steps=3), r"did you mean updates\?$"),
        (lambda: ml.metrics.TopKAccuracy(q=3), r"For q: leave it out\.$"),
        (lambda: ml.DataLoader([1], batchsize=8), r"DataLoader takes .*did you mean batch_size\?$"),
        (lambda: ml.loggers.FileMetricLogger(every=3), r"takes no arguments\. Received: every"),
    ],
    ids=["patience", "monitor and mode", "decay_steps", "leave out", "batchsize", "none"],
)
def test_a_wrong_argument_is_answered_by_the_one_that_is_meant(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(UnknownArgument, match=message) as raised:
        wrong()
    assert isinstance(raised.value, TypeError)


def test_what_has_no_such_name_is_as_ever() -> None:
    assert not hasattr(ml.metrics, "nothing_like_it")
    builder = ml.LearnerBuilder("runs/a").num_epochs(3)
    assert not hasattr(builder, "__html__") and copy.copy(builder) == builder
    rule = ml.early_stopping.NoImprovement(epochs=3)
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert next(iter(inspect.signature(ml.early_stopping.NoImprovement).parameters)) == "metric"
    with pytest.raises(TypeError, match="required positional argument"):
        ml.schedulers.Cosine()  # type: ignore[call-arg]


def test_a_class_of_the_users_takes_what_it_says() -> None:
    class Mine(ml.metrics.Loss):
        def __init__(self, flavour: str) -> None:
            super().__init__()
            self.__dict__["flavour"] = flavour

    assert Mine(flavour="x").flavour == "x"
