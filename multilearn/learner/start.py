"""Where a run begins: its engine, in the state that is resumed. Nothing here writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multilearn.checkpoint import CheckpointFolder, Recorder
from multilearn.checkpoint.checkpointer import (
    BestInMemory,
    Checkpointer,
    CountedFiles,
    FileCheckpointer,
    SavedByAnother,
)
from multilearn.data import ValidationPosition, go_to, place_of, resumes_inside_epoch
from multilearn.early_stopping import asks_for_time
from multilearn.events import MetricInfo, Split, Started
from multilearn.learner.consistency import refuse_used_up, without_effect
from multilearn.learner.inputs import Data
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.listeners import Listeners
from multilearn.learner.loop import Loop
from multilearn.learner.settings import Settings
from multilearn.learner.window import Reporter
from multilearn.metrics import AnyMetric, Loss
from multilearn.metrics.store import MetricStore
from multilearn.protocols import (
    Backend,
    Engine,
    EngineOptions,
    Loader,
    LRScheduler,
    Subject,
    of_device,
    of_updates,
)
from multilearn.records.object_state import require_savable, to_record
from multilearn.run.continuity import changes
from multilearn.run.rehearsal import Rehearsal
from multilearn.run.resume import ResumePoint, find
from multilearn.run.training_state import Progress, TrainingPlan, progress_of, put_back_on_error, restore_schedule
from multilearn.schedulers.schedule import spanned
from multilearn.storage.layout import RunDirectory
from multilearn.storage.refusals import reading

__all__ = ["BuiltRun", "Start"]


@dataclass(frozen=True)
class BuiltRun:
    """What `build` made of a description: all that a run is, before it has data.

    `declared`: the builder as a table, and in words what of it is not data. `notes` is for the log.
    """

    settings: Settings
    path: Path
    backend: Backend
    subject: Subject
    seed: int
    declared: tuple[Mapping[str, Any], tuple[str, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """Where and with what the loop begins. `notes`: sentences for the log; `described`: what experiment.json says of
    the data."""

    run: BuiltRun
    engine: Engine
    found: ResumePoint
    scheduler: LRScheduler
    store: MetricStore
    plan: TrainingPlan
    progress: Progress
    validation_position: ValidationPosition
    notes: tuple[str, ...]
    described: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        run: BuiltRun,
        data: Data,
        measured: Mapping[Split, Sequence[AnyMetric]],
        store: MetricStore,
        stack: ExitStack,
    ) -> Start:
        """Make the engine, which `stack` releases, and bring everything to the checkpoint that was asked for."""
        settings = run.settings
        engine = run.backend.engine(run.subject, tuple(data.examples.values()), options_of(settings, measured))
        stack.callback(engine.release)
        scheduler = spanned(run.subject.scheduler, settings.epochs, data.batches[Split.TRAIN], settings.accumulation)
        with reading(run.path):
            found = find(settings.resume, run.path, settings.recorder, settings.epochs, engine)
        validation_position = ValidationPosition(data.loaders.get(Split.VALID))
        notes = [*run.notes, *data.notes, *found.notes, *without_effect(settings, data)]
        if settings.recorder is not None:
            notes += _savable(settings.recorder, data.loaders[Split.TRAIN], scheduler, validation_position)
        timed = settings.early_stopping is not None and asks_for_time(settings.early_stopping)
        horizon = getattr(scheduler, "horizon", None)
        start = cls(
            run=run,
            engine=engine,
            found=found,
            scheduler=scheduler,
            store=store,
            plan=TrainingPlan(run.seed, settings.accumulation, data.batches[Split.TRAIN], horizon),
            progress=Progress(seconds=0.0 if timed else None),
            validation_position=validation_position,
            notes=tuple(notes),
            described=MappingProxyType({}),
        )
        start = start.resumed(data.loaders, data.divided(Split.TRAIN)) if found.parts else start
        if found.position.finished_epochs < settings.epochs:
            start._rehearse(data)
        return replace(start, described=data.described(first_batches=start.plan.seed == run.seed))

    def resumed(self, loaders: Mapping[Split, Loader], divided: Mapping[str, Any]) -> Start:
        """With everything in the state of the checkpoint that was found. `divided`: how the training data are divided
        into batches now."""
        found, loader, schedule = self.found, loaders[Split.TRAIN], self.found.parts["scheduler"]
        # first: what it refuses must leave the model as it is
        with put_back_on_error(self.scheduler, self.store):
            seed, notes = restore_schedule(schedule, found.journal, self.plan, self.scheduler, self.store)
            progress = progress_of(schedule, found.position, self.progress.seconds is not None)
            go_to(loader, schedule.get("loader"), found.position, trained=progress.trained)
            self.validation_position.go_to(schedule.get("valid_loader"))
            self.engine.restore({**found.parts, "random": schedule["random"], "engine": schedule.get("engine")})
        if found.source is not None:
            notes += changes(found.source, found.position, schedule, divided, self.run.subject.description)
            notes += self._validated_besides()
        return replace(self, plan=replace(self.plan, seed=seed), progress=progress, notes=(*self.notes, *notes))

    def _validated_besides(self) -> list[str]:
        """A sentence if decisions follow from a validation that a run of all epochs at once does not make."""
        settings, history = self.run.settings, self.store.history
        last = self.found.position.finished_epochs
        measured = history.values(Split.VALID, Loss.name).get(last, math.nan)
        if settings.validates(last) or math.isnan(measured) or not any(settings.watched(self.scheduler)):
            return []
        return [
            f"Epoch {last} was validated as the last one of the session before: what watches the validation counts it, "
            f"as a run of {settings.epochs} epochs at once does not."
        ]

    def _rehearse(self, data: Data) -> None:
        """Raise what would be raised only after an epoch, as far as it can be known now."""
        settings, epoch = self.run.settings, self.found.position.finished_epochs + 1
        refuse_used_up(data.loaders, settings.epochs - self.found.position.finished_epochs)
        rehearsal = Rehearsal(settings.measured(), self.store.history, epoch, data.loaders)
        if Split.VALID in data.loaders and self.run.backend.world.size == 1:
            rehearsal.metrics(self.engine, data.examples[Split.VALID].batch)
        rehearsal.rule(settings.early_stopping)
        rehearsal.strategy(settings.kept)
        rehearsal.scheduler(self.scheduler)

    def started(self, data: Data, metrics: Mapping[Split, tuple[MetricInfo, ...]]) -> Started:
        """The first event."""
        return Started(
            directory=self.run.path,
            epochs=self.run.settings.epochs,
            position=self.found.position,
            batches=MappingProxyType(dict(data.batches)),
            metrics=MappingProxyType(dict(metrics)),
            history=self.store.history.table(),
            update=self.progress.update,
            validate_every=self.run.settings.validate_every,
        )

    def loop(self, loaders: Mapping[Split, Loader], listeners: Listeners, interrupter: Interrupter) -> Loop:
        """What trains from here. The first process has the clock and the stopping rule, and decides for all."""
        settings, world = self.run.settings, self.run.backend.world
        return Loop(
            engine=self.engine,
            scheduler=self.scheduler,
            loaders=loaders,
            reporter=Reporter(self.engine, self.store, listeners, settings.nan_policy, self.progress),
            checkpointer=self.checkpointer(),
            interrupter=interrupter,
            plan=self.plan,
            epochs=settings.epochs,
            validates=settings.validates,
            rule=settings.early_stopping if world.rank == 0 else None,
            every=settings.checkpoint_every if world.rank == 0 else None,
            progress=self.progress,
            validation_position=self.validation_position,
            world=world,
        )

    def checkpointer(self) -> Checkpointer:
        """Files, if there is a recorder, of the first process; else the best state in memory, if it is restored."""
        settings, run = self.run.settings, RunDirectory(self.run.path)
        if settings.recorder is not None and self.run.backend.world.rank:
            return SavedByAnother()
        if settings.recorder is None:
            return Checkpointer() if settings.restore_best is None else BestInMemory(settings.restore_best)
        # metric files of another run are copied, and not durable yet
        durable = self.found.position.finished_epochs if self.found.source == run.path else 0
        counted = CountedFiles(run, lambda: self.store.journal, durable)
        return FileCheckpointer(CheckpointFolder(run.checkpoints, settings.recorder), settings.kept, counted)


def options_of(settings: Settings, measured: Mapping[Split, Sequence[AnyMetric]]) -> EngineOptions:
    """What an engine has to know of the settings."""
    return EngineOptions(
        train_metrics=of_device(measured[Split.TRAIN]),
        eval_metrics=of_device(measured[Split.VALID]),
        update_metrics=of_updates(measured[Split.TRAIN]),
        accumulate=settings.accumulation > 1,
        devices=settings.devices,
        skip_non_finite=settings.nan_policy == "skip",
        capture=settings.capture,
        compile=settings.compile,
        passes=settings.passes,
    )


def _savable(
    recorder: Recorder, loader: Loader, scheduler: LRScheduler, validation_position: ValidationPosition
) -> list[str]:
    """Raise `ConfigurationError` for a state that no record can hold, before hours are spent. Returns sentences."""
    notes = []
    if not resumes_inside_epoch(loader):
        notes.append(
            "The training loader cannot be resumed inside an epoch: a run that is stopped inside one can be resumed "
            "from the end of an epoch only."
        )
    validation_position.take(0)
    if (reason := validation_position.unsavable) is not None:
        notes.append(f"A resumed run restarts its validation loader: its state cannot be saved. {reason}")
    # of objects of the user's: one batch has been looked at
    state = {"scheduler": {"state": to_record(scheduler.state())}, "loader": place_of(loader, 1)}
    require_savable(recorder, {**state, "valid_loader": validation_position.place})
    return notes
