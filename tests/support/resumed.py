"""Experiments with all that a resume has to bring back, whole and in parts, on the framework that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import multilearn as ml  # isort: skip  (chooses the backend before Keras is loaded)
import keras
import numpy as np
from keras import layers, optimizers

from multilearn import metrics, schedulers
from multilearn.checkpoint import KeepLast
from multilearn.early_stopping import NoImprovement
from multilearn.seeding.streams import GlobalStreams
from multilearn_keras import Classification
from support.resumed_runs import Killed, Noisy, Stop, asked, looking
from support.training import numbers, state

# no batch of another size: each would be compiled by itself
ITEMS, SIZE, VALID = 20, 4, 4
BATCHES = ITEMS // SIZE
IMAGES = numbers(ITEMS + VALID, 6, 6, 1)
SERIES = numbers(ITEMS + VALID, 6, 3)
POINTS = numbers(ITEMS + VALID, 5)


def mlp() -> keras.Model:
    normed = layers.BatchNormalization(momentum=0.5)
    return keras.Sequential([keras.Input((5,)), layers.Dense(6), normed, layers.Dropout(0.3), layers.Dense(2)])


def cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.RandomFlip(),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.SpatialDropout2D(0.2),
            layers.GlobalAveragePooling2D(),
            layers.GaussianNoise(0.1),
            layers.Dense(2),
        ]
    )


def lstm() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(2, activity_regularizer="l2"),
        ]
    )


def attention() -> keras.Model:
    inputs = keras.Input((6, 3))
    mixed = layers.MultiHeadAttention(2, 2, dropout=0.2)(inputs, inputs)
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.Add()([inputs, mixed])))
    return keras.Model(inputs, layers.Dense(2)(layers.AlphaDropout(0.1)(pooled)))


MODELS: Mapping[str, tuple[Callable[[], keras.Model], np.ndarray]] = {
    "mlp": (mlp, POINTS),
    "cnn": (cnn, IMAGES),
    "lstm": (lstm, SERIES),
    "attention": (attention, SERIES),
}

OPTIMIZERS: Mapping[str, Callable[[], Any]] = {
    "sgd": lambda: optimizers.SGD(momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=3, global_clipnorm=1.0),
    "adamw": lambda: optimizers.AdamW(weight_decay=0.1, amsgrad=True),
    "adafactor": lambda: optimizers.Adafactor(),
    "rmsprop": lambda: optimizers.RMSprop(momentum=0.5, centered=True),
    # the first losses overflow: their updates are left out, and the scale is halved
    "scaled": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(use_ema=True, ema_overwrite_frequency=3), initial_scale=2.0**18, dynamic_growth_steps=3
    ),
}


class Counting(Classification):
    """A task of one's own: noise from a draw without a seed, and a step count that becomes a part of the loss."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self.noise = keras.random.SeedGenerator()
        self.steps = keras.Variable(0.0, trainable=False, name="steps")

    def step(self, batch: Any, training: bool) -> Any:
        x, y = batch
        if training:
            x = x + 0.1 * keras.random.normal(keras.ops.shape(x), seed=self.noise)
            self.steps.assign_add(1.0)
        output = super().step((x, y), training)
        return replace(output, loss=output.loss * (1.0 + 0.01 * self.steps))


@dataclass(frozen=True)
class Kind:
    """One experiment. `counting`: with the task above; `broken`: one item is NaN."""

    model: str = "mlp"
    optimizer: str = "adam"
    accumulation: int = 1
    policy: str = "float32"
    counting: bool = False
    broken: bool = False
    plateau: bool = False


def session(kind: Kind, directory: Path, place: Stop | None = None, *, again: bool = False, seeded: bool = True) -> Any:
    """One process' part of it, in this one. The learner; None where it was killed."""
    interrupter = ml.Interrupter()
    builder = (
        ml.LearnerBuilder(directory)
        .metrics(metrics.Loss(), metrics.Accuracy(), metrics.AUROC(), metrics.ConfusionMatrix())
        .renderer(ml.renderers.SilentRenderer())
        .num_epochs(2)
        .with_file_checkpointer()
        .with_checkpointing_strategy(KeepLast(9))
        .checkpoint_every(batches=2)
        .grads_accumulation(kind.accumulation)
        .nan_policy("skip")
        .early_stopping(NoImprovement(epochs=2))
        .with_interrupter(interrupter)
    )
    if again:
        builder = builder.checkpoint("latest")
    if seeded:
        ml.set_seed(11)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(kind.policy)
    try:
        made, x = MODELS[kind.model]
        model = made()
    finally:
        keras.config.set_dtype_policy(before)
    y = (np.arange(len(x)) % 3 == 0).astype("int32")
    x = x.copy()
    x[3] = np.nan if kind.broken else x[3]
    rate: Any = schedulers.Warmup(schedulers.ReduceOnPlateau(0.05, patience=0), updates=4)
    learner = builder.build(
        (Counting if kind.counting else Classification)(model),
        OPTIMIZERS[kind.optimizer](),
        rate if kind.plateau else schedulers.Cosine(0.05, updates=40),
    )
    with suppress(Killed):
        splits = {"train": (x[:ITEMS], y[:ITEMS]), "valid": (x[ITEMS:], y[ITEMS:])}
        loaders = (asked(Noisy(data, SIZE), looking(place, interrupter, split)) for split, data in splits.items())
        learner.fit(*loaders)
        return learner
    return None


def outcome(learner: ml.Learner, directory: Path) -> dict[str, Any]:
    """All that must be equal, bit for bit."""
    logs = {path.relative_to(directory): path.read_bytes() for path in sorted(directory.glob("*/epoch-*/*.log"))}
    records = {path.name: path.read_bytes() for path in sorted((directory / "checkpoint").glob("*.gz"))}
    return {
        "weights": {key: value.tobytes() for key, value in state(learner._run.subject.task.model).items()},
        "history": repr(learner.history),
        "logs": logs,
        "records": records,
        "stopped_by": learner.stopped_by,
        "streams": GlobalStreams.now().record(),
    }


def assert_interrupted_is_whole(kind: Kind, places: tuple[Stop, ...], directory: Path, *, seeded: bool = True) -> None:
    """The run in one piece, and the one that ended at each of the places and went on from there."""
    straight = session(kind, directory / "whole")
    expected = outcome(straight, directory / "whole")
    for number, place in enumerate(places):
        ended = session(kind, directory / "parts", place, again=number > 0, seeded=seeded or not number)
        assert ended is None if place.killed else ended.stopped_by == "enough"
    found = outcome(session(kind, directory / "parts", again=True, seeded=seeded), directory / "parts")
    for what, value in expected.items():
        if isinstance(value, dict):
            assert found[what].keys() == value.keys(), what
            assert [key for key, each in value.items() if found[what][key] != each] == [], what
        else:
            assert found[what] == value, what
