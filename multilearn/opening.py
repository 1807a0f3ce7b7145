"""What `fit` looks at before it writes anything, and how it takes hold of the directory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from multilearn.artifacts import RunDirectory
from multilearn.checkpoint import CheckpointFolder, HostTensor
from multilearn.data import as_loader
from multilearn.errors import ConfigurationError, DataError, DirectoryError
from multilearn.events import Split
from multilearn.experiment import clear_run, refuse_existing_run, remove_metric_files
from multilearn.lock import locked
from multilearn.position import START, Position
from multilearn.protocols import Example, Loader, LRScheduler
from multilearn.resuming import Found, copy_metric_files
from multilearn.schedulers import Spanning
from multilearn.settings import Settings

__all__ = ["Data", "examine", "fingerprint", "prepare", "spanned", "taken"]


@dataclass(frozen=True)
class Data:
    """The loaders that have batches, an example of each, and how many batches an epoch has (None: not known)."""

    loaders: Mapping[Split, Loader]
    examples: tuple[Example, ...]
    batches: Mapping[Split, int | None]
    notes: tuple[str, ...] = ()


def examine(train: Any, valid: Any, seed: int) -> Data:
    """Look at one batch of each. Raises `DataError` where there is nothing to train on."""
    loaders, examples, notes = {Split.TRAIN: as_loader(train, "training")}, [], []
    first = _first(loaders[Split.TRAIN], seed)
    if first is None:
        raise DataError(
            "The training loader must have at least one batch.",
            received="none",
            remedy="Look at the length of the data, and at drop_last with a large batch_size.",
        )
    examples.append(first)
    if valid is not None:
        loader = as_loader(valid, "validation")
        first = _first(loader, seed)
        if first is None:
            notes.append("The validation loader has no batch: the run goes on without validation.")
        else:
            loaders[Split.VALID] = loader
            examples.append(first)
    batches = {split: len(loader) if isinstance(loader, Sized) else None for split, loader in loaders.items()}
    return Data(loaders, tuple(examples), batches, tuple(notes))


def spanned(scheduler: LRScheduler, epochs: int, batches: int | None, accumulation: int) -> LRScheduler:
    """The scheduler with its horizon: where it has none, all updates of the run."""
    if not isinstance(scheduler, Spanning) or scheduler.updates is not None:
        return scheduler
    if batches is None:
        raise ConfigurationError(
            "A schedule that spans the run needs to know how many batches an epoch has.",
            received=f"{scheduler!r} and a training loader without a length",
            remedy="Give the scheduler its horizon: updates=...",
        )
    return scheduler.spanning(epochs * math.ceil(batches / accumulation))


def fingerprint(weights: Mapping[str, Any]) -> str:
    """The sha256 of a nested record of tensors, in the order of their paths: path, type, shape, little-endian bytes."""
    digest = hashlib.sha256()
    for path, tensor in sorted(_tensors(weights), key=itemgetter(0)):
        digest.update(f"{path} {tensor}\n".encode())
        digest.update(tensor.raw.data)
    return digest.hexdigest()


@contextmanager
def taken(run: RunDirectory) -> Iterator[None]:
    """Make the directory and hold its lock. Raises `DirectoryError` where that is not possible."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        holding = locked(run.lock)
        holding.__enter__()
    except OSError as error:
        raise DirectoryError(
            "The directory of a run must be writable.", received=f"{run.path}: {error}", remedy="Use another directory."
        ) from error
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def prepare(run: RunDirectory, settings: Settings, found: Found) -> list[str]:
    """Bring the directory to the state from which the run begins. Returns what is to be said aloud."""
    notes: list[str] = []
    if settings.resume is not None and settings.resume.directory is None:
        notes = _give_up_later(run, settings, found.position)
    elif settings.overwrite:
        clear_run(run.path)
    else:
        refuse_existing_run(run.path)
    if found.source not in (None, run.path):
        copy_metric_files(found.source, run.path, found.position)
    return notes


def _give_up_later(run: RunDirectory, settings: Settings, position: Position) -> list[str]:
    later: list[str] = []
    stay = None
    if settings.recorder is not None:
        folder = CheckpointFolder(run.checkpoints, settings.recorder)
        folder.clean()
        later += [f"checkpoint {withdrawn}" for withdrawn in folder.withdraw(position)]
    elif kept := [each for each in CheckpointFolder(run.checkpoints).positions() if each > position]:
        stay = f"Without a checkpointer these checkpoints stay as they are: {', '.join(map(str, kept))}."
    removed = [remove_metric_files(run, split, position.epoch) for split in (Split.TRAIN, Split.VALID)]
    later += [f"epoch {epoch}" for epoch in sorted({epoch for epochs in removed for epoch in epochs})]
    place = "the start" if position == START else position
    given_up = f"What came after {place} is given up: {', '.join(later)}." if later else None
    return [note for note in (given_up, stay) if note]


def _first(loader: Loader, seed: int) -> Example | None:
    for batch in loader.iterate(seed, 1):
        whole = loader.whole() if hasattr(loader, "whole") else None
        return Example(batch, whole)
    return None


def _tensors(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, HostTensor]]:
    for key, value in nested.items():
        if isinstance(value, HostTensor):
            yield f"{path}{key}", value
        else:
            yield from _tensors(value, f"{path}{key}/")
