"""The batches of all passes through a loader, of which each epoch has the next ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from multilearn.data.epochs.bounded import BoundedEpochs
from multilearn.data.iteration import batches_of, kept_working, length
from multilearn.data.resume import keeps_place, resumes_inside_epoch
from multilearn.protocols import Loader, Record, StatefulLoader, World

__all__ = ["next_ones"]

_END = object()


@dataclass
class _Passage:
    """A passage through the epochs of a loader, called passes here. `stack` closes the one under way, of number
    `number` (from 1), of which `done` batches were taken; the next batch is number `batch` of `epoch`."""

    seed: int
    world: World
    epoch: int
    batch: int
    number: int
    done: int
    stack: ExitStack = field(default_factory=ExitStack)
    batches: Iterator[Any] = field(default_factory=lambda: iter(()))


class NextBatches(BoundedEpochs):
    """The batches of all epochs of a loader one after the other, of which each epoch has the next ones.

    Where they begin is a function of the epoch, if the loader knows its length and can begin anywhere; of any other the
    batches before it are gone through, unless a state was restored, or the epoch before was gone through here.
    """

    asked = "epoch_of"

    def __init__(self, loader: Loader, batches: int) -> None:
        super().__init__(loader, batches)
        self._passage: _Passage | None = None
        self._users = 0

    def __len__(self) -> int:
        return self.batches

    @contextmanager
    def kept_working(self) -> Iterator[None]:
        """While it lasts, a pass continues from epoch to epoch."""
        self._users += 1
        try:
            with kept_working(self.loader):
                try:
                    yield
                finally:
                    self._close()
        finally:
            self._users -= 1

    def _batches_of(self, seed: int, epoch: int, start: int, world: World) -> Iterator[Any]:
        passage, ended = self._at(seed, epoch, start, world), False
        try:
            for number in range(start, self.batches):
                if (batch := self._next(passage)) is _END:
                    break
                self._note(passage, epoch, number + 1)
                yield batch
            ended = True
        finally:
            # a generator that is closed is used up
            if not ended or (not self._users and self.resumes_inside_epoch):
                self._close()

    def _note(self, passage: _Passage, epoch: int, batch: int) -> None:
        passage.epoch, passage.batch = (epoch, batch) if batch < self.batches else (epoch + 1, 0)

    def _at(self, seed: int, epoch: int, start: int, world: World) -> _Passage:
        """The passage of which the next batch is this one."""
        passage, per_pass = self._passage, self._per_pass()
        fits = passage is not None and passage.seed == seed and passage.world is world
        ahead = (epoch - passage.epoch) * self.batches + start - passage.batch if passage is not None else -1
        if passage is None or not fits or ahead < 0 or (ahead and per_pass is not None):
            self._close()
            passage = self._begun(seed, world)
            ahead = (epoch - passage.epoch) * self.batches + start - passage.batch
            if per_pass is not None:
                passage.number, passage.done = 1 + ahead // per_pass, ahead % per_pass
                ahead = 0
            self._passage = passage
            self._open(passage)
        for _ in range(ahead):
            self._next(passage)
        self._note(passage, epoch, start)
        return passage

    def _per_pass(self) -> int | None:
        """How many batches a pass has; None where it is not known, or a pass cannot be begun anywhere."""
        return length(self.loader)

    def _begun(self, seed: int, world: World) -> _Passage:
        return _Passage(seed, world, 1, 0, 1, 0)

    def _open(self, passage: _Passage) -> None:
        opened = batches_of(self.loader, passage.seed, passage.number, passage.done, passage.world)
        passage.batches = passage.stack.enter_context(opened)

    def _next(self, passage: _Passage) -> Any:
        """The next batch, of this pass or the next one; `_END` if that has none."""
        batch = next(passage.batches, _END)
        if batch is _END and passage.done:
            passage.stack.close()
            passage.number, passage.done = passage.number + 1, 0
            self._open(passage)
            batch = next(passage.batches, _END)
        passage.done += batch is not _END
        return batch

    def _close(self) -> None:
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.stack.close()


class StatefulNextBatches(NextBatches):
    """Those of a loader that has a state, or does not know its length: the place is recorded."""

    def __init__(self, loader: Loader, batches: int) -> None:
        super().__init__(loader, batches)
        self._places: dict[int, tuple[int, int]] = {}
        self._epoch = 1
        self._restored: Record | None = None

    def state(self, batch: int) -> Record:
        if self._restored is not None:
            return self._restored
        number, done = self._places[batch]
        epoch, batch = (self._epoch, batch) if batch < self.batches else (self._epoch + 1, 0)
        place = self.loader.state(done) if keeps_place(self.loader) else None
        return {"epoch": epoch, "batch": batch, "pass": number, "done": done, "place": place}

    def restore(self, state: Record) -> None:
        self._close()
        self._restored = dict(state)
        if state["place"] is not None and keeps_place(self.loader):
            self.loader.restore(state["place"])

    def _per_pass(self) -> int | None:
        return None

    def _begun(self, seed: int, world: World) -> _Passage:
        restored, self._restored = self._restored, None
        if restored is None:
            return super()._begun(seed, world)
        epoch, batch, number, done = (int(restored[name]) for name in ("epoch", "batch", "pass", "done"))
        return _Passage(seed, world, epoch, batch, number, done)

    def _note(self, passage: _Passage, epoch: int, batch: int) -> None:
        super()._note(passage, epoch, batch)
        # the batch before this one is the last of its pass only until the next pass has begun
        before = (passage.number, passage.done - 1) if passage.done else None
        self._places = {batch: (passage.number, passage.done)} | ({} if before is None else {batch - 1: before})
        self._epoch = epoch


def next_ones(loader: Loader, batches: int) -> BoundedEpochs:
    """Epochs of `batches` batches of `loader`, each with the next ones."""
    pure = not isinstance(loader, StatefulLoader) and resumes_inside_epoch(loader) and length(loader)
    return (NextBatches if pure else StatefulNextBatches)(loader, batches)
