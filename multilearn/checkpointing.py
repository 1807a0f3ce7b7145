"""When a run is saved: after the epochs that the strategy keeps, and where it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from multilearn.checkpoint import CheckpointFolder, CheckpointStrategy, CheckpointWriter
from multilearn.history import History
from multilearn.position import Position
from multilearn.protocols import Record

__all__ = ["Checkpointer", "FileCheckpointer", "NoCheckpointer", "Snapshot"]

Snapshot = Callable[[], Mapping[str, Record]]
"""Makes the copy of the state that is to be saved, on the thread that calls it."""


class Checkpointer(Protocol):
    """Told by the loop where it is; says whether the place was saved."""

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool: ...
    def inside_epoch(self, position: Position, snapshot: Snapshot) -> bool: ...
    def close(self) -> None: ...


class NoCheckpointer:
    """Saves nothing."""

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool:
        return False

    def inside_epoch(self, position: Position, snapshot: Snapshot) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


class FileCheckpointer:
    """Copies on the calling thread, and leaves writing to one worker."""

    def __init__(self, folder: CheckpointFolder, strategy: CheckpointStrategy) -> None:
        self._folder = folder
        self._strategy = strategy
        self._writer = CheckpointWriter(folder)

    def after_epoch(self, epoch: int, history: History, snapshot: Snapshot, stopping: bool) -> bool:
        """Save the end of `epoch` if the strategy keeps it, or if the run stops here; drop what it keeps no more."""
        self._writer.wait()
        on_disk = [position.epoch for position in self._folder.positions() if position.batch is None]
        epochs = sorted({*on_disk, epoch})
        kept = self._strategy.keep(epochs, history)
        if epoch not in kept and not stopping:
            return False
        drop = [Position(other) for other in on_disk if other not in kept and other != epoch]
        self._writer.save(Position(epoch), snapshot(), drop)
        return True

    def inside_epoch(self, position: Position, snapshot: Snapshot) -> bool:
        """Save a place inside an epoch; it goes when a later one is durable, and counts for no strategy."""
        self._writer.save(position, snapshot())
        return True

    def close(self) -> None:
        """Wait until everything is on disk. Raises what the worker met."""
        self._writer.close()
