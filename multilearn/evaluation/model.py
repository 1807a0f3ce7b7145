"""A model that is looked at and not trained: opened on the first batch, with its own weights or a checkpoint's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multilearn import backend as backends
from multilearn.checkpoint import Recorder, nbytes
from multilearn.checkpoint.manifest import steadily
from multilearn.data import as_loader
from multilearn.errors import CheckpointNotFound, DataError
from multilearn.events import Position
from multilearn.learner.inputs import first_example
from multilearn.protocols import EngineOptions, EvalEngine, Loader, Record
from multilearn.run.resume import Resume, folder_of, locate
from multilearn.seeding import seed as seeds
from multilearn.storage.location import Location
from multilearn.storage.refusals import reading

__all__ = ["Trained", "WeightsSource", "opened", "placed"]


@dataclass(frozen=True)
class WeightsSource:
    """The run whose checkpoint gives the weights, or, where `which` is None, that has none to give."""

    directory: Path
    which: str | None = None
    recorder: Recorder | None = None


@dataclass(frozen=True)
class Trained:
    """`position`: the checkpoint that the weights are from; None for those of the model."""

    engine: EvalEngine
    loader: Loader
    seed: int
    position: Position | None


def placed(directory: str | os.PathLike[str]) -> Path:
    """The directory of a run, with `{backend}` and `{seed}` replaced. Raises `BackendError` where there is none."""
    location = Location.of(directory)
    # a seed that nothing asks for is not drawn
    return location.path(backends.load().name, seeds.current()) if "{" in location.below else location.literal


@contextmanager
def opened(model: Any, data: Any, options: EngineOptions, source: WeightsSource | None) -> Iterator[Trained]:
    """The model on its device, with the weights of the checkpoint if `source` names one. Nothing is written.

    Raises `DataError` where there is no batch, or one that does not fit, `CheckpointNotFound`, `RecordError` or
    `RecordMismatch` for the checkpoint.
    """
    loader, seed = as_loader(data, "test"), seeds.current()
    example = first_example(loader, seed)
    if example is None:
        raise DataError(
            "The test loader must have at least one batch.", received="none", remedy="Check the length of the data."
        )
    engine = backends.load().eval_engine(model, (example,), options)
    try:
        position = None if source is None or source.which is None else _restored(engine, source, Resume(source.which))
        yield Trained(engine, loader, seed, position)
    finally:
        engine.release()


def _restored(engine: EvalEngine, source: WeightsSource, resume: Resume) -> Position:
    folder = folder_of(resume, source.directory, source.recorder).path
    with reading(source.directory):
        position, weights = steadily(folder, lambda: _weights(engine, source, resume))
    engine.restore(weights)
    return position


def _weights(engine: EvalEngine, source: WeightsSource, resume: Resume) -> tuple[Position, Record]:
    located = locate(resume, source.directory, source.recorder)
    if located.position is None:
        problems = "; ".join(located.notes) or "nothing was saved"
        raise CheckpointNotFound(
            "The checkpoint to evaluate must have been saved.",
            received=f"{resume.which!r} of {source.directory}: {problems}",
            remedy="Check the path, or leave the checkpoint out for the weights of the model in memory.",
        )
    limits = {"model": nbytes(engine.record())}
    parts = located.folder.load(located.position, limits, ("model",))
    if "model" not in parts:
        raise CheckpointNotFound(
            "The checkpoint must have its part `model`.",
            received=f"checkpoint {located.position} of {located.source} without it",
            remedy="Take another one.",
        )
    return located.position, parts["model"]
