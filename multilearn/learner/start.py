"""Where a run begins: its engine, in the state from which it goes on. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multilearn.checkpoint import DEFAULT
from multilearn.checkpoint.strategies import best_of
from multilearn.data import Resting, go_to, place_of, require_saveable
from multilearn.early_stopping import asks_for_time
from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.learner.inputs import Data
from multilearn.learner.settings import Settings
from multilearn.metrics import AnyMetric
from multilearn.metrics.store import MetricStore
from multilearn.protocols import (
    Backend,
    Engine,
    EngineOptions,
    Loader,
    LRScheduler,
    Record,
    Subject,
    Weighed,
    of_device,
)
from multilearn.records.object_state import require_savable, to_record
from multilearn.run import environment as evidence
from multilearn.run.continuity import changes
from multilearn.run.environment import Weights
from multilearn.run.experiment import Experiment, Session, earlier, now
from multilearn.run.resume import Found, find
from multilearn.run.training_state import Plan, Progress, progress_of, put_back_on_error, restore_schedule
from multilearn.run.training_state_check import check_schedule
from multilearn.schedulers.schedule import spanned
from multilearn.storage.layout import RunDirectory
from multilearn.storage.refusals import reading, tight

__all__ = ["Run", "Start"]


@dataclass(frozen=True)
class Run:
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
    """Where and with what the loop begins. `notes` is what is to be said aloud,
    `described` what experiment.json says of the data."""

    run: Run
    engine: Engine
    found: Found
    scheduler: LRScheduler
    store: MetricStore
    plan: Plan
    progress: Progress
    resting: Resting
    notes: tuple[str, ...]
    described: Mapping[str, Any]

    @classmethod
    def of(
        cls, run: Run, data: Data, measured: Mapping[Split, Sequence[AnyMetric]], store: MetricStore, stack: ExitStack
    ) -> Start:
        """Make the engine, which `stack` releases, and bring everything to the checkpoint that was asked for."""
        settings, batches = run.settings, data.batches[Split.TRAIN]
        options = EngineOptions(
            train_metrics=of_device(measured[Split.TRAIN]),
            eval_metrics=of_device(measured[Split.VALID]),
            accumulate=settings.accumulation > 1,
            device=settings.device,
            skip_non_finite=settings.nan_policy == "skip",
            capture=settings.capture,
            compile=settings.compile,
            passes=settings.passes,
        )
        engine = run.backend.engine(run.subject, data.examples, options)
        stack.callback(engine.release)
        scheduler = spanned(run.subject.scheduler, settings.epochs, batches, settings.accumulation)
        plan = Plan(run.seed, settings.accumulation, batches, getattr(scheduler, "horizon", None))
        with reading(run.path):
            found = find(settings.resume, run.path, settings.recorder, settings.epochs, engine)
        resting = Resting(data.loaders.get(Split.VALID))
        notes = [*run.notes, *data.notes, *found.notes, *_in_vain(settings, data)]
        if settings.recorder is not None:
            notes += require_saveable(data.loaders[Split.TRAIN])
            resting.take(0)
            require_savable(settings.recorder, _states(scheduler, data.loaders[Split.TRAIN], resting))
            if isinstance(engine, Weighed):
                notes += tight(run.path, engine.nbytes())
            notes += _anew(resting)
        timed = settings.early_stopping is not None and asks_for_time(settings.early_stopping)
        progress = Progress(seconds=0.0 if timed else None)
        if found.parts:
            schedule = found.parts["scheduler"]
            check_schedule(schedule, found.position)
            # first: what it refuses must leave the model as it is
            with put_back_on_error(scheduler, store):
                seed, differences = restore_schedule(schedule, found.journal, plan, scheduler, store)
                progress = progress_of(schedule, found.position, timed)
                go_to(data.loaders[Split.TRAIN], schedule.get("loader"), found.position, trained=progress.trained)
                resting.go_to(schedule.get("valid_loader"))
                engine.restore({**found.parts, "random": schedule["random"], "engine": schedule.get("engine")})
            plan = replace(plan, seed=seed)
            notes += differences
            if found.source is not None:
                divided = data.divided(Split.TRAIN)
                notes += changes(found.source, found.position, schedule, divided, run.subject.description)
        described = data.described(first_batches=plan.seed == run.seed)
        return cls(run, engine, found, scheduler, store, plan, progress, resting, tuple(notes), described)

    def experiment(self, weights: Weights) -> Experiment:
        """What experiment.json says of the run, this session included, at its beginning."""
        run, source = self.run, self.found.source
        session = Session(
            started=now(),
            backend=run.backend.name,
            versions=evidence.versions(run.backend),
            device=run.settings.device or str(run.backend.devices()[0]),
            machine=evidence.machine(),
            threads=evidence.threads(),
            numerics=evidence.numerics(run.backend),
            **self.described,
            trained=False,
            resumed_from=None if source is None else {"directory": str(source), "position": str(self.found.position)},
        )
        builder, not_data = run.declared
        return Experiment(
            seed=self.plan.seed,
            builder=builder,
            not_data=not_data,
            subject=run.subject.description,
            scheduler={"description": repr(self.scheduler), "updates": self.plan.horizon},
            metrics=run.settings.describe_metrics(),
            weights=weights,
            sessions=(*earlier(RunDirectory(run.path).experiment)[0], session),
        )

    def initial_weights(self) -> Weights:
        """The hashes of the weights that the run began with."""
        if self.found.source is not None:
            return earlier(RunDirectory(self.found.source).experiment)[1]
        try:
            return Weights.of(self.engine.record()["model"])
        except ConfigurationError:
            # an optimizer whose state cannot be named in a record can still train, only not be saved
            if self.run.settings.recorder is not None:
                raise
            return Weights()


def _states(scheduler: LRScheduler, loader: Loader, resting: Resting) -> Record:
    """What a record of the schedule has of objects that are not ours, one batch having been looked at."""
    return {
        "scheduler": {"state": to_record(scheduler.state())},
        "loader": place_of(loader, 1),
        "valid_loader": resting.place,
    }


def _anew(resting: Resting) -> Iterator[str]:
    """What is to be said of a loader for validation whose state cannot be saved."""
    if (untold := resting.untold) is not None:
        yield f"A run that goes on begins with its validation loader anew: its state cannot be saved. {untold}"


def _in_vain(settings: Settings, data: Data) -> Iterator[str]:
    """What was asked for and comes to nothing with these data."""
    every, batches = settings.checkpoint_every, data.batches[Split.TRAIN]
    if every is not None and every.batches is not None and batches is not None:
        asked = f"checkpoint_every asks for {every.batches}"
        if every.batches >= batches:
            yield f"Nothing is saved inside an epoch: it has {batches} batches, and {asked}."
        elif settings.accumulation >= batches:
            yield f"Nothing is saved inside an epoch: its {batches} batches are one update, and {asked}."
    if settings.strategy is not DEFAULT:
        for best in best_of(settings.strategy):
            if best.split not in data.loaders:
                yield f"KeepBest keeps nothing: there is no data of {best.split}, of which it watches {best.metric}."
