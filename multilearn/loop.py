"""The loop: batches go to the engine, and facts to the listeners."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from multilearn.checkpointing import Checkpointer
from multilearn.errors import DataError, NonFiniteLoss
from multilearn.events import EpochEnded, Event, Reading, Saved, Split, SplitEnded, Stepped
from multilearn.interrupter import Interrupter
from multilearn.metrics import Loss
from multilearn.metrics.store import MetricStore
from multilearn.position import Position
from multilearn.progress import Plan, schedule_record
from multilearn.protocols import Batch, Engine, Loader, LRScheduler, Record, StepOutput

__all__ = ["Loop"]

WINDOW_SECONDS = 0.1
WINDOW_BATCHES = 256


@dataclass(frozen=True)
class _Pending:
    """A step whose output is still on the device."""

    batch: int
    update: int
    learning_rate: float | None
    output: StepOutput


@dataclass
class Loop:
    """Trains from `position` to the end of `epochs`, or until the interrupter has a reason."""

    engine: Engine
    scheduler: LRScheduler
    loaders: Mapping[Split, Loader]
    store: MetricStore
    shown: Mapping[Split, frozenset[str]]
    emit: Callable[[Event], None]
    flush: Callable[[], None]
    checkpointer: Checkpointer
    interrupter: Interrupter
    plan: Plan
    epochs: int
    position: Position
    update: int
    _window: list[_Pending] = field(default_factory=list)
    _opened: float = 0.0

    @property
    def completed(self) -> bool:
        """Whether every epoch is done, also where a request to stop came too late to prevent it."""
        return self.position.finished_epochs >= self.epochs

    def run(self) -> None:
        """Every epoch that is left; `position` says afterwards how far it came."""
        stopping = self.interrupter.reason is not None
        while not (self.completed or stopping):
            stopping = self._epoch(self.position.finished_epochs + 1)

    def _epoch(self, epoch: int) -> bool:
        """What is left of `epoch`. Whether the run stops here: then, and only then, the place is saved in any case."""
        finished = self._train(epoch) and self._validate(epoch)
        if not finished:
            # the lines of the batches that the checkpoint counts must not be younger than it
            self.flush()
            if self.checkpointer.inside_epoch(self.position, self._snapshot):
                self.emit(Saved(self.position))
            return True
        self.position = Position(epoch)
        self.emit(EpochEnded(epoch))
        # asked once: a request that comes while this place is being saved finds the loop in the next epoch
        stopping = self.interrupter.reason is not None
        if self.checkpointer.after_epoch(epoch, self.store.history, self._snapshot, stopping):
            self.emit(Saved(self.position))
        return stopping

    def _train(self, epoch: int) -> bool:
        """The batches of `epoch` that are left. Whether all of them were done."""
        done = self.position.batch or 0
        if not done:
            self.store.begin(Split.TRAIN)
        rate, in_window = 0.0, 0
        for batch, last in _marking_last(self.loaders[Split.TRAIN].iterate(self.plan.seed, epoch, done)):
            if not in_window:
                rate = float(self.scheduler.learning_rate(self.update))
            in_window += 1
            update = last or in_window == self.plan.accumulation
            output = self.engine.train_step(batch, rate, update)
            done += 1
            if update:
                self.update, in_window = self.update + 1, 0
            self._append(Split.TRAIN, epoch, _Pending(done, self.update, rate, output))
            self.position = Position(epoch, done)
            # an accumulation window that is open never enters a record
            if update and self.interrupter.reason is not None and not last:
                self._report(Split.TRAIN, epoch)
                return False
        if not done:
            raise DataError(
                "The training loader must have at least one batch in every epoch.",
                received=f"none in epoch {epoch}",
                remedy="Give one that can be gone through again, such as a DataLoader.",
            )
        self._report(Split.TRAIN, epoch)
        self._end(Split.TRAIN, epoch)
        return True

    def _validate(self, epoch: int) -> bool:
        """All validation batches. Whether none was left out because the run is to stop."""
        if Split.VALID not in self.loaders:
            return True
        self.store.begin(Split.VALID)
        batches = self.loaders[Split.VALID].iterate(self.plan.seed, epoch)
        for number, batch in enumerate(batches, start=1):
            if self.interrupter.reason is not None:
                return False
            self._append(Split.VALID, epoch, _Pending(number, self.update, None, self.engine.eval_step(batch)))
        self._report(Split.VALID, epoch)
        self._end(Split.VALID, epoch)
        return True

    def _append(self, split: Split, epoch: int, pending: _Pending) -> None:
        now = time.monotonic()
        if not self._window:
            self._opened = now
        self._window.append(pending)
        if len(self._window) >= WINDOW_BATCHES or now - self._opened >= WINDOW_SECONDS:
            self._report(split, epoch)

    def _report(self, split: Split, epoch: int) -> None:
        """Fetch what the window holds, all at once, and tell it batch by batch."""
        window, self._window = self._window, []
        hosts = self.engine.fetch([pending.output for pending in window]) if window else ()
        for pending, host in zip(window, hosts, strict=True):
            readings = self.store.fold(split, host)
            self.emit(
                Stepped(
                    split, epoch, pending.batch, pending.update, pending.learning_rate, self._shown(split, readings)
                )
            )
            if split is Split.TRAIN:
                _refuse_non_finite(readings, epoch, pending)

    def _end(self, split: Split, epoch: int) -> None:
        readings = self.store.end(split, epoch)
        if readings:
            self.emit(SplitEnded(split, epoch, self._shown(split, readings)))

    def _shown(self, split: Split, readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
        return MappingProxyType({name: reading for name, reading in readings.items() if name in self.shown[split]})

    def _snapshot(self) -> Mapping[str, Record]:
        record = self.engine.record()
        schedule = schedule_record(self.plan, self.update, self.scheduler, self.store, record["random"])
        return {"model": record["model"], "optim": record["optim"], "scheduler": schedule}


def _marking_last(batches: Iterable[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch, and whether it is the last one: it looks one ahead."""
    iterator = iter(batches)
    try:
        current = next(iterator)
    except StopIteration:
        return
    for following in iterator:
        yield current, False
        current = following
    yield current, True


def _refuse_non_finite(readings: Mapping[str, Reading], epoch: int, pending: _Pending) -> None:
    loss = readings[Loss.name]
    if isinstance(loss.value, float) and not math.isfinite(loss.value) and loss.count:
        raise NonFiniteLoss(
            "The training loss must be finite.",
            received=f"{loss.value} at batch {pending.batch} of epoch {epoch}, learning rate {pending.learning_rate}",
            remedy="Lower the learning rate, clip the gradients, or look at that batch.",
        )
