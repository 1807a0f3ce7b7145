"""What a trained model says, batch by batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from multilearn import backend as backends
from multilearn.checkpoint import Recorder
from multilearn.data import batches_of, out_of_order
from multilearn.errors import ConfigurationError
from multilearn.evaluation.model import Trained, opened, placed
from multilearn.foreign_words import refusing
from multilearn.learner.argument_checks import device_names, which_checkpoint
from multilearn.protocols import Devices, EngineOptions

__all__ = ["predict"]

_log = logging.getLogger("multilearn")


@refusing
def predict(
    model: Any,
    data: Any,
    *,
    checkpoint: int | str | None = None,
    directory: str | os.PathLike[str] | None = None,
    recorder: Recorder | None = None,
    device: Devices | None = None,
    capture: bool = True,
) -> Iterator[Any]:
    """The predictions for the batches of `data`, one after the other, as numpy arrays nested as the model nests them.

    `model`: a Keras model, compiled or not, or a task; one that has a method `predict(batch)` is asked by that.
    `data`: a loader or a list of batches: `(x, y)`, of which y is not looked at, or x alone, an array or a dict.
    `checkpoint`: use the weights of `"latest"`, `"best"`, an epoch or `"3.120"` of the run in `directory`, trained on
    whatever framework; the model keeps its own. `recorder`, `device` and `capture` are as in `LearnerBuilder`.

    Nothing is kept: at any time there are two batches of predictions, the one that is yielded and the next, on the
    device. A shuffling loader is gone through in the order of its first epoch, with a warning.

    What does not fit is refused at the call: `ConfigurationError`, `DataError`, `CheckpointNotFound`, `RecordMismatch`.
    """
    if checkpoint is not None and directory is None:
        raise ConfigurationError(
            "A checkpoint is one of a run.", received=f"checkpoint={checkpoint!r}", remedy="Add directory=..."
        )
    which = None if checkpoint is None else which_checkpoint(checkpoint)
    path = None if directory is None else placed(directory)
    options = EngineOptions(devices=() if device is None else device_names(device), capture=capture)
    with ExitStack() as stack:
        trained = stack.enter_context(opened(model, data, options, which, path, recorder))
        if (why := out_of_order(trained.loader)) is not None:
            _log.warning(
                "Predictions are in the order of the loader's batches, and not one for each item in the order of the "
                "data, for %s. Give predict a loader without that.",
                why,
            )
        return _predictions(trained, stack.pop_all())


def _predictions(trained: Trained, stack: ExitStack) -> Iterator[Any]:
    engine = trained.engine
    with stack, batches_of(trained.loader, trained.seed, 1, world=backends.load().world) as batches:
        waiting: list[Any] = []
        for batch in batches:
            # one ahead: the device has work while the caller has
            waiting.append(engine.predict_step(batch))
            if len(waiting) > 1:
                yield engine.to_host(waiting.pop(0))
        for predicted in waiting:
            yield engine.to_host(predicted)
