"""A model that is looked at and not trained: opened on the first batch, with its own weights or a checkpoint's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multilearn import backend as backends
from multilearn.checkpoint import Contents, Recorder, nbytes
from multilearn.checkpoint.manifest import steadily
from multilearn.data import as_loader
from multilearn.errors import CheckpointNotFound, DataError
from multilearn.events import Position
from multilearn.learner.inputs import first_example
from multilearn.protocols import EngineOptions, EvalEngine, Loader
from multilearn.run.resume import Resume, folder_of, locate
from multilearn.seeding import seed as seeds
from multilearn.storage.location import Location
from multilearn.storage.refusals import reading
from multilearn.storage.throw_away import standing_in

__all__ = ["Trained", "opened", "placed", "weights_of"]


@dataclass(frozen=True)
class Trained:
    """`position`: the checkpoint that the weights are from; None for those of the model."""

    engine: EvalEngine
    loader: Loader
    seed: int
    position: Position | None


def placed(directory: str | os.PathLike[str]) -> Path:
    """The directory of a run, with placeholders replaced. Raises `BackendError` if there is no backend."""
    location = Location.of(directory)
    if "{" not in location.below:  # a seed that nothing asks for is not drawn
        return location.literal
    return location.path(backends.load().name, seeds.current(), existing=True)


@contextmanager
def opened(
    model: Any,
    data: Any,
    options: EngineOptions,
    which: str | None = None,
    directory: Path | None = None,
    recorder: Recorder | None = None,
) -> Iterator[Trained]:
    """The model on its device, with the weights of checkpoint `which` of the run in `directory`; None: with its own.

    Nothing is written. Raises `DataError` if there is no batch, or one that does not fit, `CheckpointNotFound`,
    `RecordError` or `RecordMismatch` for the checkpoint.
    """
    loader, seed = as_loader(data, "test"), seeds.current()
    example = first_example(loader, seed)
    if example is None:
        raise DataError(
            "The test loader must have at least one batch.", received="none", remedy="Check the length of the data."
        )
    engine = backends.load().eval_engine(model, (example,), options)
    try:
        position = None
        if which is not None and directory is not None:
            with reading(directory):
                position, weights, _ = weights_of(which, directory, recorder, nbytes(engine.record()))
            engine.restore(weights.item)
        yield Trained(engine, loader, seed, position)
    finally:
        engine.release()


def weights_of(
    which: str, run: Path, recorder: Recorder | None, limit: int
) -> tuple[Position, Contents, tuple[str, ...]]:
    """The part `model`, of at most `limit` bytes, of the checkpoint of a run that `which` names, and sentences for the
    user. Raises `CheckpointNotFound` or `RecordError`."""
    run, which = standing_in(run, which)
    resume = Resume(which)

    def found() -> tuple[Position, Contents, tuple[str, ...]]:
        located = locate(resume, run, recorder)
        if located.position is None:
            raise CheckpointNotFound(
                "The checkpoint that weights are taken from must have been saved, and be intact.",
                received=f"{which!r} of {run}: {'; '.join(located.notes) or 'nothing was saved'}",
                remedy="Check the path, or train with .with_file_checkpointer().",
            )
        parts = located.folder.read(located.position, {"model": limit}, ("model",))
        if "model" not in parts:
            raise CheckpointNotFound(
                "The checkpoint must have its part `model`.",
                received=f"checkpoint {located.position} of {located.source} without it",
                remedy="Take another one.",
            )
        return located.position, parts["model"], located.notes

    return steadily(folder_of(resume, run, recorder).path, found)
