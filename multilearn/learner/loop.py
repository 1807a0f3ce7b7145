"""The loop: batches go to the engine, and facts to the listeners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from multilearn.checkpoint.checkpointer import Checkpointer, SaveInterval, Snapshot
from multilearn.data import Passing, ValidationPosition, batches_of, items_in, keeps_place, length, place_of
from multilearn.data.epochs import EpochLength
from multilearn.early_stopping import StoppingRule
from multilearn.errors import DataError, WorldError, found_in
from multilearn.events import EpochEnded, Position, Saved, Split
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.rule_watch import RuleWatch
from multilearn.learner.window import Pending, Reporter
from multilearn.protocols import ALONE, Engine, Loader, LRScheduler, Record, World
from multilearn.run.training_state import Progress, TrainingPlan, schedule_record
from multilearn.schedulers import Observing
from multilearn.schedulers.turns import rate_or_rates
from multilearn.seeding.streams import kept_globals

__all__ = ["Loop"]

_log = logging.getLogger("multilearn")


@dataclass
class Loop:
    """Trains from where `progress` is to the last of `epochs`, or until the interrupter has a reason.

    `rule` may be that reason; `every`: how often to save inside an epoch; `validates`: which epochs are validated;
    `on_first_batch` is called once, after it. Of a `world` each process has its rows, and a reason of one stops all.
    """

    engine: Engine
    scheduler: LRScheduler
    loaders: Mapping[Split, Loader]
    reporter: Reporter
    checkpointer: Checkpointer
    interrupter: Interrupter
    plan: TrainingPlan
    progress: Progress
    epochs: int
    rule: StoppingRule | None = None
    every: SaveInterval | None = None
    validates: Callable[[int], bool] = lambda epoch: True
    validation_position: ValidationPosition = field(default_factory=lambda: ValidationPosition(None))
    on_first_batch: Callable[[], None] | None = None
    world: World = ALONE
    _saved: float = 0.0
    _batches: int = 0
    _miscounted: bool = False

    def __post_init__(self) -> None:
        self._lengths = {split: EpochLength(split, length(loader)) for split, loader in self.loaders.items()}
        self._watch = RuleWatch(self.rule, self.interrupter, self.progress, lambda: self.reporter.store.history)

    @property
    def by_rule(self) -> bool:
        """Whether the reason of the interrupter is that of the rule."""
        return self._watch.stopped

    @property
    def completed(self) -> bool:
        """Whether every epoch is done, also if a request to stop came too late to prevent it."""
        return self.progress.position.finished_epochs >= self.epochs

    def run(self) -> None:
        """Every epoch that is left; `progress` says afterwards how far it came."""
        self.validation_position.take(0)
        self._saved = time.monotonic() if self.every is not None else 0.0
        self._watch.begin(self.completed)
        stopping = self._all_stop()
        while not (self.completed or stopping):
            stopping = self._epoch(self.progress.position.finished_epochs + 1)

    def tell_saved(self) -> None:
        """Tell of the checkpoints that have come to be on disk since this was last done: nothing is said before."""
        for position in self.checkpointer.durable():
            self.reporter.listeners.tell(Saved(position))

    def _epoch(self, epoch: int) -> bool:
        """What is left of `epoch`. Whether the run stops here: then, and only then, the place is saved in any case."""
        try:
            if not (self.progress.trained or self._train(epoch)):
                return True
        except WorldError:
            # what ended the other process may be among the values that have not been looked at here
            self.reporter.report(Split.TRAIN, epoch)
            raise
        if not self._validate(epoch):
            self._save_inside(self._snapshot)
            return True
        self.progress.position, self.progress.trained = Position(epoch), False
        history = self.reporter.store.history
        if isinstance(self.scheduler, Observing):
            self.scheduler.observe(epoch, history)
        self.reporter.listeners.tell(EpochEnded(epoch))
        self._watch.epoch(epoch, self.completed)
        # asked once: a request that comes while this place is being saved finds the loop in the next epoch
        stopping = self._all_stop()
        if self.checkpointer.after_epoch(epoch, history, self._snapshot, stopping):
            self._clock_saved()
        self.tell_saved()
        if self.completed and not stopping:
            self.checkpointer.completed(history)
        return stopping

    def _train(self, epoch: int) -> bool:
        """The batches of `epoch` that are left. Whether all of them were done; if not, the place is saved."""
        progress = self.progress
        done, rate, in_window = progress.position.batch or 0, 0.0, 0
        if not done:
            self.reporter.begin(Split.TRAIN)
        loader, lengths = self.loaders[Split.TRAIN], self._lengths[Split.TRAIN]
        with found_in("training data"), batches_of(loader, self.plan.seed, epoch, done, self.world) as loaded:
            batches = Passing(lengths.counted(loaded, epoch, done))
            for batch in batches:
                if not in_window:
                    rate = rate_or_rates(self.scheduler.learning_rate(progress.update))
                in_window += 1
                closes = in_window == self.plan.accumulation
                output = self.engine.train_step(batch, rate, closes)
                if self.on_first_batch is not None:
                    self.on_first_batch()
                    self.on_first_batch = None
                done += 1
                pending = Pending(done, progress.update + closes, float(rate), items_in(batch), output, progress.update)
                progress.update += closes
                self.reporter.add(Split.TRAIN, epoch, pending)
                progress.position = Position(epoch, done)
                self.tell_saved()
                # an accumulation window that is open never enters a record
                if closes:
                    if self._stops_after(in_window, batches):
                        return False
                    in_window = 0
        if not done:
            raise DataError(
                "The training loader must have at least one batch in every epoch.",
                received=f"none in epoch {epoch}",
                remedy="Give one that can be iterated again, such as a DataLoader.",
            )
        if in_window:
            self.engine.apply(rate)
            progress.update += 1
        self._count(epoch, done)
        progress.trained = True
        return True

    def _validate(self, epoch: int) -> bool:
        """End the training of `epoch`, and validate it if that is due. Whether no batch was left out by a stop."""
        self._batches = self.progress.position.batch or 0
        self.reporter.end(Split.TRAIN, epoch)
        if Split.VALID not in self.loaders or not self.validates(epoch):
            return True
        self.reporter.begin(Split.VALID)
        number, loader, lengths = 0, self.loaders[Split.VALID], self._lengths[Split.VALID]
        loaded = batches_of(loader, self.plan.seed, epoch, world=self.world)
        with kept_globals(), found_in("validation data"), loaded as batches:
            for number, batch in enumerate(lengths.counted(batches, epoch), start=1):
                self._watch.time()
                if self._stops():
                    return False
                output = self.engine.eval_step(batch)
                pending = Pending(number, self.progress.update, None, items_in(batch), output)
                self.reporter.add(Split.VALID, epoch, pending)
            self.reporter.end(Split.VALID, epoch)
        self.validation_position.take(number)
        return True

    def _count(self, epoch: int, done: int) -> None:
        """Say once that an epoch is not as long as the loader says."""
        planned, horizon = self.plan.batches, self.plan.horizon
        if planned in (None, done) or self._miscounted:
            return
        self._miscounted = True
        spans = f" The learning-rate schedule spans {horizon} updates all the same." if horizon else ""
        _log.warning(
            "The training loader has a length of %d batches, and epoch %d had %d.%s", planned, epoch, done, spans
        )

    def _stops_after(self, window: int, batches: Passing) -> bool:
        """At the end of a window of so many batches: whether the run stops inside the epoch; then, or when it is due,
        the place is saved."""
        self._watch.time()
        epoch, done = self.progress.position.epoch, self.progress.position.batch or 0
        stops = self._stops()
        due = self.every is not None and self.every.due(done, window, time.monotonic() - self._saved)
        if done == self.plan.batches or not (stops or due):
            return False
        self.reporter.report(Split.TRAIN, epoch)
        if not self.checkpointer.resumable or not self._may_have_ended():
            self._save_inside(self._snapshot)
            return stops
        # before the next batch is made: what is recorded is the place after this one
        record = self._snapshot()
        if batches.ended:
            return False
        self._save_inside(lambda: record)
        return stops

    def _stops(self) -> bool:
        """Whether the run stops after the batch it is at: a process that is not alone sees to it that all do."""
        world = self.world
        if world.size == 1:
            return self.interrupter.reason is not None
        world.wish = self.interrupter.reason is not None
        # known alike to all since the last step
        return world.agreed and self._all_stop()

    def _all_stop(self) -> bool:
        """Whether any process has a reason to stop, which is then that of all. Each waits for all."""
        reason = self.world.first_text(self.interrupter.reason)
        if reason is not None:
            self.interrupter.stop(reason)
        return reason is not None

    def _may_have_ended(self) -> bool:
        """Whether only another batch tells if the epoch is over, and it matters: a loader with a state of its own may
        then be in the next one already."""
        return self.plan.batches is None or keeps_place(self.loaders[Split.TRAIN])

    def _save_inside(self, snapshot: Snapshot) -> None:
        # the lines of the batches that the checkpoint counts must not be younger than it
        self.reporter.listeners.flush()
        if self.checkpointer.inside_epoch(self.progress.position, snapshot):
            self._clock_saved()

    def _clock_saved(self) -> None:
        if self.every is not None:
            self._saved = time.monotonic()

    def _snapshot(self) -> Mapping[str, Record]:
        record = self.engine.record()
        done = self._batches if self.progress.position.batch is None else self.progress.position.batch
        found = {"loader": place_of(self.loaders[Split.TRAIN], done), "valid_loader": self.validation_position.place}
        schedule = schedule_record(
            self.plan,
            self.progress,
            self.scheduler,
            self.reporter.store,
            record["random"],
            {name: place for name, place in found.items() if place is not None},
            record.get("engine"),
        )
        return {"model": record["model"], "optim": record["optim"], "scheduler": schedule}
