"""What is made of a description and of data if a run is only tried."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from multilearn.checkpoint import AnyOf, KeepEvery, MpkGzRecorder
from multilearn.data import closing_after, keeps_place, kept_working, length
from multilearn.data.epochs import unbounded
from multilearn.learner.place import placed
from multilearn.learner.settings import Settings
from multilearn.loggers.tracker import TrackerLogger
from multilearn.protocols import Batch, Loader
from multilearn.run.directory import holds_traces, refuse_existing_run
from multilearn.run.resume import Resume
from multilearn.storage.atomic import make_folder
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import files_in
from multilearn.storage.throw_away import instead_of, standing_in

__all__ = ["EPOCHS", "FewBatches", "batches_of_epoch", "keep_checkpoints", "shortened", "tried"]

EPOCHS = 2
"""How many are trained: one before the checkpoint that is resumed, and one after it."""
_SKIPPED = 8
"""Of so many batches one is expected to have a finite loss, if others are skipped."""


class FewBatches:
    """A loader of which every epoch ends after its first batches. Where it is inside an epoch is nothing to save."""

    def __init__(self, loader: Loader, batches: int = 1) -> None:
        self._loader, self._batches = loader, batches

    def __len__(self) -> int:
        known = 1 if self._batches == 1 else length(self._loader)
        if known is None:
            raise TypeError("how many batches there are is not known")
        return min(self._batches, known)

    def iterate(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        with closing_after(self._loader.iterate(seed, epoch, start)) as batches:
            yield from islice(batches, max(1, self._batches - start))

    @property
    def again(self) -> bool:
        """Whether there is more than one epoch of it."""
        return getattr(self._loader, "again", True) is not False

    @property
    def repeats(self) -> bool:
        """Whether its batches are a function of the epoch: one that keeps its place continues from where it was cut."""
        return not keeps_place(self._loader)

    @property
    def once(self) -> bool:
        """Whether it is a generator, also one of which several epochs are made: its first batches are gone."""
        return getattr(unbounded(self._loader), "again", True) is False

    def whole(self) -> Batch | None:
        """All items, whose labels are checked."""
        return self._loader.whole() if hasattr(self._loader, "whole") else None

    def kept_working(self) -> AbstractContextManager[None]:
        return kept_working(self._loader)


def tried(settings: Settings, backend: str, seed: int) -> tuple[Settings, Path, Path]:
    """The settings of a run that is tried, its directory, and the one that it stands for, which is only read.

    Every epoch is saved, and trackers are left out. What the script resumes is the run of an earlier fit, if that was
    tried, else the one on disk. Raises `DirectoryError` for a directory that the run itself could not use; a run that
    is in it already is no obstacle.
    """
    _, path = placed(replace(settings, overwrite=True), backend, seed)
    own, resume = instead_of(path), settings.resume
    if resume is not None:
        source, which = standing_in(path if resume.is_of(path) else resume.directory or path, resume.which)
        itself = source == own or (resume.is_of(path) and not holds_traces(path))
        resume = Resume(which) if itself else Resume(which, source)
    if not settings.overwrite and (resume is None or resume.directory is not None):
        refuse_existing_run(own)
    return replace(_saving(settings), resume=resume, checkpoint_every=None), own, path


def batches_of_epoch(settings: Settings) -> int:
    """How many are trained on at most: one, if that may not be skipped."""
    return _SKIPPED if settings.nan_policy == "skip" else 1


def shortened(settings: Settings, finished: int) -> Settings:
    """With the epochs that are trained, of a run that begins after so many."""
    return replace(settings, epochs=min(settings.epochs, finished + EPOCHS))


def keep_checkpoints(own: Path, real: Path) -> None:
    """Copy the checkpoints of a run of which nothing is left to train into the directory that stands for it: the script
    may read them."""
    source, kept = RunDirectory(real).checkpoints, RunDirectory(own).checkpoints
    make_folder(kept)
    for name in files_in(source, real, ""):
        shutil.copyfile(source / name, kept / name)


def _saving(settings: Settings) -> Settings:
    given = settings.loggers
    return replace(
        settings,
        recorder=settings.recorder or MpkGzRecorder(),
        strategy=AnyOf(settings.strategy, KeepEvery(1)),
        loggers=given and tuple(logger for logger in given if not isinstance(logger, TrackerLogger)),
    )
