"""The files beside its records that a checkpoint refers to: made durable before it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from multilearn.events import Position, Split
from multilearn.records.journal import Journal, JournalFile
from multilearn.storage import atomic
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import is_folder
from multilearn.storage.refusals import storing

__all__ = ["CountedFiles"]


class CountedFiles:
    """The journal of a run, and its metric files after epoch `durable`, up to which they are on disk already.

    `history`: gives the journal up to the present.
    """

    def __init__(self, run: RunDirectory, history: Callable[[], Journal], durable: int) -> None:
        self._run = run
        self._history = history
        self._journal = JournalFile(run.history)
        self._durable = durable
        self._folders: dict[Split, set[Path]] = {}

    def up_to(self, position: Position) -> Callable[[], None]:
        """What makes them durable up to there, for the thread that writes checkpoints; this one only notes how much."""
        journal = self._history()
        return partial(self._sync, position, journal, len(journal))

    def _sync(self, position: Position, journal: Journal, lines: int) -> None:
        """Raises `StorageError`."""
        for split in (Split.TRAIN, Split.VALID):
            self._sync_epochs(split, range(self._durable + 1, position.epoch + 1))
        self._durable = position.finished_epochs
        self._journal.hold(journal, lines)

    def _sync_epochs(self, split: Split, epochs: Iterable[int]) -> None:
        written = [folder for epoch in epochs if is_folder(folder := self._run.epoch(split, epoch))]
        for folder in written:
            for path in _metric_files(folder):
                atomic.sync_file(path)
            atomic.sync_folder(folder)
        if not written:
            return
        if split not in self._folders:
            atomic.sync_folder(self._run.path)
        if not self._folders.get(split, set()).issuperset(written):
            atomic.sync_folder(self._run.path / split)
        self._folders[split] = set(written)


def _metric_files(folder: Path) -> list[Path]:
    with storing(folder), os.scandir(folder) as entries:
        return [
            folder / each.name for each in entries if each.name.endswith(".log") and each.is_file(follow_symlinks=False)
        ]
