"""Names that are wrong by a letter, or those of other libraries, are refused with the ones that are meant."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import multilearn as ml
from multilearn.errors import ConfigurationError, UnknownArgument
from multilearn.history import History
from multilearn.renderers.history_view import EpochHistory

X, Y = np.zeros((256, 4)), np.zeros(256, dtype=int)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        (lambda: ml.metrics.F1, "FBetaScore"),
        (lambda: ml.metrics.Acuracy, "Accuracy"),
        (lambda: ml.Dataloader, "DataLoader"),
        (lambda: ml.Trainer, "LearnerBuilder"),
        (lambda: ml.early_stopping.EarlyStopping, "early_stopping.NoImprovement"),
        (lambda: ml.schedulers.Cosin, "Cosine"),
        (lambda: ml.Classification, "multilearn_keras.Classification"),
        (lambda: ml.BinaryClassification, "multilearn_keras.MultiLabelClassification"),
        (lambda: ml.schedulers.CosineAnnealingLR, "schedulers.Cosine"),
        (lambda: ml.schedulers.StepLR, "schedulers.Step"),
        (lambda: ml.schedulers.OneCycleLR, "schedulers.OneCycle"),
        (lambda: ml.loggers.WandB, "loggers.WandbLogger"),
        (lambda: ml.LearnerBuilder("runs/a").num_epoch, "num_epochs"),
        (lambda: ml.LearnerBuilder("runs/a").summery, "summary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_name_is_answered_by_the_one_that_is_meant(wrong: Callable[[], object], meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"Did you mean {meant}\?"):
        wrong()


LEARNER = ml.Learner.__new__(ml.Learner)
HISTORY = EpochHistory(
    History.from_state({split: {"Loss": [(1, 0.5)], "Accuracy": [(1, 0.5)]} for split in ("train", "valid")}),
    {},
    "a",
    {},
)


@pytest.mark.parametrize(
    ("thing", "name", "words"),
    [
        (ml, "fit", r"LearnerBuilder\(directory\)\.build\(.*\)\.fit\(train, valid\)"),
        (ml, "callbacks", r"\.early_stopping\(.*\.metric_loggers\("),
        (ml.schedulers, "LearningRateScheduler", r"third argument of build"),
        (LEARNER, "evaluate", r"multilearn\.Evaluator\(learner\.directory"),
        (LEARNER, "predict", r"multilearn\.predict\(model, data\)"),
        (LEARNER, "save", r'model\.save\("model\.keras"\)'),
        (LEARNER, "model", r"model = learner\.fit\("),
        (ml.LearnerBuilder("runs/a"), "callbacks", r"\.early_stopping\(.*\.on_epoch\("),
        (ml.LearnerBuilder("runs/a"), "validation_freq", r"\.validate_every\(n\)"),
        (ml.LearnerBuilder("runs/a"), "class_weight", r"Classification\(model, class_weight="),
        (ml.LearnerBuilder("runs/a"), "gradient_clip_val", r"global_clipnorm="),
        (ml.LearnerBuilder("runs/a"), "accumulate_grad_batches", r"\.grads_accumulation\(n\)"),
        (ml.LearnerBuilder("runs/a"), "compile", r"build\(task, optimizer, lr\)"),
        (ml.LearnerBuilder("runs/a"), "fit", r"\.build\(task, optimizer, lr\)\.fit\("),
        (HISTORY, "history", r'history\["train"\]\["Loss"\]'),
    ],
)
def test_a_name_that_is_no_single_one_here_is_answered_by_what_to_write(thing: object, name: str, words: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'\. In its place: .*{words}"):
        getattr(thing, name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: HISTORY["loss"], '"train", "valid". Received: \'loss\'. Write ["train"]["Loss"].'),
        (lambda: HISTORY["val_accuracy"], 'Write ["valid"]["Accuracy"].'),
        (lambda: HISTORY["val"], 'Write ["valid"].'),
        (lambda: HISTORY["train"]["loss"], '"Loss", "Accuracy". Received: \'loss\'. Write ["Loss"].'),
        (lambda: HISTORY["valid"]["accuracy"], 'Write ["Accuracy"].'),
        (lambda: HISTORY["nothing"], '"train", "valid". Received: \'nothing\'.'),
    ],
    ids=["loss", "val_accuracy", "val", "train loss", "valid accuracy", "nothing"],
)
def test_what_a_history_does_not_have_is_a_key_error_that_says_what_it_has(
    wrong: Callable[[], object], message: str
) -> None:
    with pytest.raises(KeyError) as raised:
        wrong()
    assert str(raised.value).endswith(message)
    assert HISTORY.get("loss") is None and "loss" not in HISTORY
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ml.DataLoader(X, Y), r"Received: ndarray of shape \(256,\)\. .* one tuple: DataLoader\(\(x, y\)"),  # type: ignore[arg-type]
        (lambda: ml.DataLoader(list(X), list(Y)), r"one tuple"),  # type: ignore[arg-type]
        (lambda: ml.DataLoader(X, Y, batch_size=32), r"and batch_size\. Give all arrays as one tuple"),  # type: ignore[misc]
        (lambda: ml.DataLoader(X, Y, 32), r"Received: 3 arguments without a name\. Give all"),  # type: ignore[misc]
        (lambda: ml.Evaluator("runs/a").evaluate(None, X, Y), r"Received: ndarray of shape .* one argument"),  # type: ignore[arg-type]
        (lambda: ml.LearnerBuilder("runs/a").metrics([ml.metrics.Accuracy()]), r"without the list\.$"),  # type: ignore[arg-type]
        (lambda: ml.LearnerBuilder("runs/a").checkpoint("lastest"), r"Did you mean 'latest'\?$"),
        (lambda: ml.LearnerBuilder("runs/a").checkpoint(Y), r"Received: ndarray of shape"),  # type: ignore[arg-type]
    ],
    ids=["x, y", "lists", "x, y, batch_size=", "x, y, 32", "evaluate", "a list of metrics", "lastest", "an array"],
)
def test_a_wrong_value_is_answered_in_a_line(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        wrong()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ml.schedulers.ReduceOnPlateau(0.1, min_lr=0.0), r"did you mean minimum\?$"),
        (lambda: ml.LearnerBuilder("runs/a").checkpoint_every(epochs=2), r"For epochs: \.with_file_checkpointer\(\)"),
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
    ids=["min_lr", "epochs", "patience", "monitor and mode", "decay_steps", "leave out", "batchsize", "none"],
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
