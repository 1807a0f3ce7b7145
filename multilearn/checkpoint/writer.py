"""Checkpoints written in the background, while training continues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

from multilearn.checkpoint.folder import CheckpointFolder
from multilearn.errors import CheckpointError
from multilearn.events import Position
from multilearn.protocols import Record
from multilearn.storage.refusals import storing
from multilearn.storage.shield import SHIELD

__all__ = ["CheckpointWriter"]


class CheckpointWriter:
    """One worker thread, started by the first save, that writes in the order of the calls, one checkpoint at a time.

    The parts must be copies of their own: they are read while training continues. What fails in the worker is raised
    by the next call of any method, once. `close` must be called, in a `finally`; a process that ends without it still
    finishes the write under way.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self._folder = folder
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="multilearn-checkpoint")
        self._pending: Future[None] | None = None
        self._closed = False
        self._durable: deque[Position] = deque()

    def save(
        self,
        position: Position,
        parts: Mapping[str, Record],
        drop: Collection[Position] = (),
        first: Callable[[], None] | None = None,
    ) -> None:
        """Have `CheckpointFolder.save` called with these. Waits for the one before to be durable, and no longer.

        `first` is called before it, on the worker too: to make durable what the checkpoint refers to.
        """
        if self._closed:
            raise CheckpointError(
                "A closed writer writes nothing.", received=f"checkpoint {position}", remedy="Make a new writer."
            )

        def write() -> None:
            with storing(self._folder.path):
                if first is not None:
                    first()
                self._folder.save(position, parts, drop)
            self._durable.append(position)

        self.wait()
        with SHIELD:
            self._pending = self._worker.submit(write)

    def durable(self) -> list[Position]:
        """Those that have become durable since this was last asked. Waits for nothing, and raises nothing."""
        return [self._durable.popleft() for _ in range(len(self._durable))]

    def wait(self) -> None:
        """Return when everything is durable."""
        if self._pending is not None:
            wait_for([self._pending])
            ended, self._pending = self._pending, None
            ended.result()

    def close(self) -> None:
        """Finish what is under way and end the thread, also when that raises. A second call does nothing."""
        self._closed = True
        try:
            self.wait()
        finally:
            self._worker.shutdown()
