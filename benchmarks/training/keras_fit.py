"""Keras' own `fit`, with accuracy and a CSVLogger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.training.setup import RATE, Setup
from benchmarks.training.turns import Epoch, Peer

__all__ = ["keras_fit"]


def keras_fit(setup: Setup) -> Callable[[Peer], None]:
    """In the order of the arrays, with validation after each epoch; everything else as Keras has it."""
    import keras

    class Lapping(keras.callbacks.CSVLogger):
        """The logger, and a lap after every epoch: no second callback, for each costs something a batch."""

        def __init__(self, peer: Peer) -> None:
            super().__init__(setup.scratch / "keras.csv")
            self._peer = peer

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            names = ("loss", "accuracy", "val_loss", "val_accuracy")
            self._peer.lap(Epoch(*(float(logs[name]) for name in names)))

    model = setup.keras_model()
    model.compile(
        keras.optimizers.Adam(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )

    def fit(peer: Peer) -> None:
        model.fit(
            setup.train.x,
            setup.train.y,
            batch_size=setup.work.batch,
            epochs=setup.work.epochs,
            shuffle=False,
            validation_data=(setup.valid.x, setup.valid.y),
            validation_batch_size=setup.work.batch,
            callbacks=[Lapping(peer)],
            verbose=0,
        )

    return fit
