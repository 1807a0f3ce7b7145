"""The Learner, as a user would call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import multilearn as ml
from benchmarks.training.setup import RATE, Setup
from benchmarks.training.turns import Epoch, Peer
from multilearn.events import Split, SplitEnded

__all__ = ["learner"]


def learner(setup: Setup, name: str = "learner", **engine: Any) -> Callable[[Peer], None]:
    """`Learner.fit` with Loss and Accuracy on both splits and its default options: files, lines on the screen."""
    import keras

    from multilearn_keras import Classification

    train, valid = (ml.DataLoader((split.x, split.y), split.batch) for split in (setup.train, setup.valid))
    task = Classification(setup.keras_model())
    directory = setup.scratch / name

    def fit(peer: Peer) -> None:
        builder = (
            ml.LearnerBuilder(directory)
            .metrics(ml.metrics.Accuracy(), ml.metrics.Loss())
            .num_epochs(setup.work.epochs)
            .renderer(Lapping(peer))
        )
        if engine:
            builder = builder.engine(**engine)
        builder.build(task, keras.optimizers.Adam(RATE)).fit(train, valid)
        lines = (directory / "train/epoch-1/Loss.log").read_text().splitlines()
        peer.first_losses = [float(line.split(",")[0]) for line in lines if not line.endswith("final")]

    return fit


class Lapping(ml.renderers.CliRenderer):
    """The default renderer, and a lap after every epoch."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer
        self._train: Any = None

    def render(self, event: Any) -> None:
        super().render(event)
        if isinstance(event, SplitEnded):
            if event.split is Split.TRAIN:
                self._train = event.readings
            else:
                readings = [split[name] for split in (self._train, event.readings) for name in ("Loss", "Accuracy")]
                self._peer.lap(Epoch(*(float(reading.value) for reading in readings)))
