"""When a run is saved: after the epochs that the strategy keeps, inside epochs, and where it is stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multilearn.arguments import number, settle, whole
from multilearn.checkpoint import CheckpointFolder, CheckpointStrategy, CheckpointWriter
from multilearn.errors import ConfigurationError
from multilearn.events import Position, Split
from multilearn.history import History, Monitor
from multilearn.protocols import Record
from multilearn.records.journal import Journal, JournalFile
from multilearn.storage import atomic
from multilearn.storage.layout import RunDirectory
from multilearn.storage.own_files import files_in, is_folder
from multilearn.storage.refusals import storing

__all__ = [
    "BestInMemory",
    "Checkpointer",
    "CountedFiles",
    "FileCheckpointer",
    "SaveInterval",
    "SavedByAnother",
    "Snapshot",
]

Snapshot = Callable[[], Mapping[str, Record]]
"""Makes the copy of the state that is to be saved, on the thread that calls it."""


@dataclass(frozen=True)
class SaveInterval:
    """How often to save inside an epoch: every so many of its batches, or so many minutes after the last save."""

    batches: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.batches is None) == (self.minutes is None):
            raise ConfigurationError(
                "checkpoint_every takes a number of batches, or of minutes.",
                received="both" if self.batches is not None else "neither",
                remedy="Write for instance checkpoint_every(batches=500).",
            )
        remedy = "To save after epochs only, leave it out."
        if self.batches is not None:
            settle(self, batches=whole("The batches of checkpoint_every", self.batches, 1, remedy))
        if self.minutes is not None:
            kind = "a finite number above 0"
            minutes = number("The minutes of checkpoint_every", self.minutes, lambda n: 0 < n < math.inf, kind, remedy)
            settle(self, minutes=minutes)

    def due(self, done: int, window: int, seconds: float) -> bool:
        """Whether to save where `done` batches of the epoch are, `window` of them since the last place where a
        checkpoint may be, `seconds` after the last save.

        >>> [done for done in (4, 8, 12) if SaveInterval(batches=6).due(done, 4, 0.0)]
        [8, 12]
        """
        if self.batches is not None:
            return done // self.batches > (done - window) // self.batches
        return self.minutes is not None and seconds >= 60 * self.minutes


class Checkpointer:
    """Called by the loop after batches and epochs: says whether a checkpoint is made, and which are on disk since.

    This one saves nothing. `resumable`: whether any process saves the places at which the run stops.
    """

    resumable = False

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool:
        return False

    def inside_epoch(self, position: Position, snapshot: Snapshot) -> bool:
        return False

    def durable(self) -> Sequence[Position]:
        return ()

    def completed(self, history: History) -> None:
        return

    def close(self) -> None:
        return


class SavedByAnother(Checkpointer):
    """Saves nothing, for another process does."""

    resumable = True


class BestInMemory(Checkpointer):
    """Saves nothing, and keeps a copy of the state after the best epoch that it has seen: `epoch` and its `parts`."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.epoch: int | None = None
        self.parts: Mapping[str, Record] = {}

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool:
        if self._monitor.best(history) == epoch:
            # the old copy goes first: two at once would take twice the memory
            self.epoch, self.parts = None, {}
            self.epoch, self.parts = epoch, snapshot()
        return False


class CountedFiles:
    """The files beside its records that a checkpoint refers to, made durable before it is.

    They are the journal of a run, and its metric files after epoch `durable`, up to which they are on disk already.

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
        lines = len(journal)

        def sync() -> None:
            for split in (Split.TRAIN, Split.VALID):
                self._sync_epochs(split, range(self._durable + 1, position.epoch + 1))
            self._durable = position.finished_epochs
            self._journal.hold(journal, lines)

        return sync

    def _sync_epochs(self, split: Split, epochs: Iterable[int]) -> None:
        written = [folder for epoch in epochs if is_folder(folder := self._run.epoch(split, epoch))]
        for folder in written:
            with storing(folder):
                names = files_in(folder, self._run.path, ".log")
            for name in names:
                atomic.sync_file(folder / name)
            atomic.sync_folder(folder)
        if not written:
            return
        if split not in self._folders:
            atomic.sync_folder(self._run.path)
        if not self._folders.get(split, set()).issuperset(written):
            atomic.sync_folder(self._run.path / split)
        self._folders[split] = set(written)


class FileCheckpointer(Checkpointer):
    """Copies on the calling thread, and leaves writing to one worker."""

    resumable = True

    def __init__(
        self, folder: CheckpointFolder, strategy: CheckpointStrategy, counted: CountedFiles | None = None
    ) -> None:
        """`counted`: the files beside the records that a checkpoint refers to, in a run that has them."""
        self._folder = folder
        self._counted = counted
        self._strategy = strategy
        self._writer = CheckpointWriter(folder)

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool:
        """Save the end of `epoch` if the strategy keeps it, or if the run stops here; drop what it keeps no more."""
        self._writer.wait()
        on_disk = [position.epoch for position in self._folder.positions() if position.batch is None]
        epochs = sorted({*on_disk, epoch})
        kept = self._kept(epochs, history)
        if epoch not in kept and not stopping:
            return False
        drop = [Position(other) for other in on_disk if other not in kept and other != epoch]
        self._save(Position(epoch), snapshot, drop)
        return True

    def inside_epoch(self, position: Position, snapshot: Snapshot) -> bool:
        """Save a place inside an epoch; it goes when a later one is durable, and counts for no strategy."""
        # before the copy is made, so that there is one copy at a time
        self._writer.wait()
        self._save(position, snapshot)
        return True

    def durable(self) -> Sequence[Position]:
        """The places that have come to be on disk since this was last asked; it waits for none."""
        return self._writer.durable()

    def completed(self, history: History) -> None:
        """The last epoch of the run was trained: an epoch that is there only because the run once stopped goes."""
        self._writer.wait()
        epochs = [position.epoch for position in self._folder.positions() if position.batch is None]
        kept = self._kept(epochs, history)
        # one that the strategy keeps has to be there to resume from
        if kept and (left := [Position(epoch) for epoch in epochs if epoch not in kept]):
            self._folder.remove(left)

    def _kept(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        # a strategy may count in numpy's numbers, and return an array of them
        return frozenset(map(int, self._strategy.keep(epochs, history)))

    def close(self) -> None:
        """Wait until everything is on disk. Raises what the worker met."""
        self._writer.close()

    def _save(self, position: Position, snapshot: Snapshot, drop: Sequence[Position] = ()) -> None:
        first = None if self._counted is None else self._counted.up_to(position)
        self._writer.save(position, snapshot(), drop, first)
