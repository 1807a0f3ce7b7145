"""The learner: it looks at what it was given, takes hold of the directory, runs the loop, and puts everything back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multilearn.artifacts import RunDirectory
from multilearn.checkpoint import CheckpointFolder
from multilearn.checkpointing import Checkpointer, FileCheckpointer, NoCheckpointer
from multilearn.errors import ConfigurationError
from multilearn.events import EpochEnded, Event, Finished, MetricInfo, Saved, Split, Started
from multilearn.experiment import Experiment, Session, earlier, in_session, in_words, now, threads
from multilearn.interrupter import Interrupter, stopping_on_signals
from multilearn.loggers import FileMetricLogger, MetricLogger
from multilearn.loop import Loop
from multilearn.metrics import Loss, Metric
from multilearn.metrics.store import MetricStore
from multilearn.opening import Data, examine, fingerprint, prepare, spanned, taken
from multilearn.progress import Plan, put_back_on_error, restore_schedule, updates_of
from multilearn.protocols import Backend, Engine, EngineOptions, LRScheduler, Subject
from multilearn.renderers import CliRenderer, Renderer
from multilearn.renderers.sparkline import blocks_for
from multilearn.renderers.stream import ForgivingStream
from multilearn.resuming import Found, find
from multilearn.settings import Settings
from multilearn.summary import summary

__all__ = ["Learner"]

_log = logging.getLogger("multilearn")


@dataclass(frozen=True)
class _Start:
    """Where and with what the loop begins."""

    engine: Engine
    found: Found
    scheduler: LRScheduler
    store: MetricStore
    plan: Plan
    notes: tuple[str, ...]


class Learner:
    """One model, to be trained once. Made by `LearnerBuilder.build`."""

    def __init__(self, settings: Settings, path: Path, backend: Backend, subject: Subject, seed: int) -> None:
        self._settings = settings
        self._path = path
        self._backend = backend
        self._subject = subject
        self._seed = seed
        self._metrics = {split: tuple(r.metric for r in settings.of(split)) for split in (Split.TRAIN, Split.VALID)}
        self._interrupter = settings.interrupter or Interrupter()
        self._store = MetricStore(self._measured())
        self._fitted = False
        self._completed = False

    @property
    def directory(self) -> Path:
        """Where metrics, logs and checkpoints are."""
        return self._path

    @property
    def history(self) -> Mapping[str, Mapping[str, tuple[float, ...]]]:
        """The exact value after each epoch, from epoch 1 on, by split and metric: `history["valid"]["Loss"][-1]`.

        NaN for an epoch in which a metric was not measured. The loss is always there.
        """
        table = self._store.history.table()
        return MappingProxyType(
            {
                str(split): MappingProxyType(
                    {
                        name: tuple(values.get(epoch, float("nan")) for epoch in range(1, max(values, default=0) + 1))
                        for name, values in metrics.items()
                    }
                )
                for split, metrics in table.items()
            }
        )

    @property
    def stopped_by(self) -> str | None:
        """Why the run stops before its end: `"SIGINT"`, `"SIGTERM"`, or a reason; None if it was completed."""
        return None if self._completed else self._interrupter.reason

    def fit(self, train: Any, valid: Any = None) -> Any:
        """Train on the batches of `train`, validate on those of `valid` after every epoch, return the trained model.

        Both are loaders, such as `DataLoader`, or lists of batches.

        Raises `ConfigurationError`, `DataError` or `RecordMismatch`, before anything is written, for what does not fit;
        `NonFiniteLoss` when the training diverges; and whatever a listener raises.
        """
        if self._fitted:
            raise ConfigurationError(
                "A learner is fitted once.",
                received="a second fit",
                remedy='Build another, with .checkpoint("latest") to go on from where this one ended.',
            )
        renderer = self._settings.renderer or CliRenderer()
        return renderer.host(lambda: self._fit(train, valid, renderer))

    def _fit(self, train: Any, valid: Any, renderer: Renderer) -> Any:
        run = RunDirectory(self._path)
        data = examine(train, valid, self._seed)
        with ExitStack() as stack:
            start = self._start(data, stack)
            weights = self._initial_weights(start)
            stack.enter_context(taken(run))
            self._fitted = True
            notes = [*start.notes, *prepare(run, self._settings, start.found)]
            stack.enter_context(self._application_log(run))
            stack.enter_context(stopping_on_signals(self._interrupter))
            loggers = (FileMetricLogger(),) if self._settings.loggers is None else self._settings.loggers
            loop = self._loop(run, data, start, loggers, renderer)
            with in_session(self._experiment(run, start, weights), run, loop):
                for note in notes:
                    _log.warning("%s", note)
                self._run(loop, loggers, renderer, self._started(start, data))
        if self._settings.show_summary:
            self._print_summary(loop.position.finished_epochs)
        return self._subject.task.model

    def _print_summary(self, epochs: int) -> None:
        screen = ForgivingStream(sys.stdout)
        blocks = blocks_for(screen.encoding)
        screen.write(
            summary(self._store.history, self._infos(), self._path, epochs, self.stopped_by, blocks=blocks) + "\n"
        )
        screen.flush()

    def _infos(self) -> dict[Split, tuple[MetricInfo, ...]]:
        return {split: tuple(r.info() for r in self._settings.of(split)) for split in self._metrics}

    def _start(self, data: Data, stack: ExitStack) -> _Start:
        """The engine in the state from which the run begins. Nothing is written."""
        settings, batches = self._settings, data.batches[Split.TRAIN]
        measured = self._measured()
        accumulate = settings.accumulation > 1
        options = EngineOptions(measured[Split.TRAIN], measured[Split.VALID], accumulate, settings.device)
        engine = self._backend.engine(self._subject, data.examples, options)
        stack.callback(engine.release)
        scheduler = spanned(self._subject.scheduler, settings.epochs, batches, settings.accumulation)
        plan = Plan(self._seed, settings.accumulation, batches, getattr(scheduler, "updates", None))
        found = find(settings, self._path, engine)
        notes = [*data.notes, *found.notes]
        if found.parts:
            schedule = found.parts["scheduler"]
            inside = found.position.batch is not None
            # first: what it refuses must leave the model as it is
            with put_back_on_error(scheduler, self._store):
                seed, differences = restore_schedule(schedule, plan, inside, scheduler, self._store)
                engine.restore({**found.parts, "random": schedule["random"]})
            plan = Plan(seed, plan.accumulation, plan.batches, plan.horizon)
            notes += differences
        return _Start(engine, found, scheduler, self._store, plan, tuple(notes))

    def _loop(
        self, run: RunDirectory, data: Data, start: _Start, loggers: tuple[MetricLogger, ...], renderer: Renderer
    ) -> Loop:
        checkpointer: Checkpointer = NoCheckpointer()
        if self._settings.recorder is not None:
            folder = CheckpointFolder(run.checkpoints, self._settings.recorder)
            checkpointer = FileCheckpointer(folder, self._settings.strategy)

        def emit(event: Event) -> None:
            for logger in loggers:
                logger.log(event)
            renderer.render(event)
            _note(event)

        def flush() -> None:
            for logger in loggers:
                logger.flush()

        parts = start.found.parts
        return Loop(
            engine=start.engine,
            scheduler=start.scheduler,
            loaders=data.loaders,
            store=start.store,
            shown={split: frozenset(metric.name for metric in metrics) for split, metrics in self._metrics.items()},
            emit=emit,
            flush=flush,
            checkpointer=checkpointer,
            interrupter=self._interrupter,
            plan=start.plan,
            epochs=self._settings.epochs,
            position=start.found.position,
            update=updates_of(parts["scheduler"]) if parts else 0,
        )

    def _run(self, loop: Loop, loggers: tuple[MetricLogger, ...], renderer: Renderer, started: Started) -> None:
        with ExitStack() as open_ones:
            open_ones.callback(renderer.close)
            for logger in loggers:
                open_ones.callback(logger.close)
            open_ones.callback(loop.checkpointer.close)
            try:
                loop.emit(started)
                loop.run()
                self._completed = loop.completed
                # nothing is said to be finished before it is on disk
                loop.checkpointer.close()
                loop.emit(Finished(loop.position, self.stopped_by))
            except BaseException as error:
                for tell in (*(logger.log for logger in loggers), renderer.render):
                    # one of them may be what failed
                    with suppress(Exception):
                        tell(Finished(loop.position, error=in_words(error)))
                raise

    def _experiment(self, run: RunDirectory, start: _Start, weights: str | None) -> Experiment:
        source = start.found.source
        session = Session(
            started=now(),
            backend=self._backend.name,
            versions=dict(self._backend.versions()),
            device=self._settings.device or str(self._backend.devices()[0]),
            threads=threads(),
            resumed_from=None if source is None else {"directory": str(source), "position": str(start.found.position)},
        )
        return Experiment(
            seed=start.plan.seed,
            builder=self._settings.describe(),
            subject=self._subject.description,
            scheduler={"description": repr(start.scheduler), "updates": start.plan.horizon},
            metrics=self._settings.describe_metrics(),
            weights_sha256=weights,
            sessions=(*earlier(run.experiment)[0], session),
        )

    def _initial_weights(self, start: _Start) -> str | None:
        """The hash of the weights that the run began with."""
        if start.found.source is not None:
            return earlier(RunDirectory(start.found.source).experiment)[1]
        try:
            return fingerprint(start.engine.record()["model"])
        except ConfigurationError:
            # an optimizer whose state cannot be named in a record can still train, only not be saved
            if self._settings.recorder is not None:
                raise
            return None

    def _started(self, start: _Start, data: Data) -> Started:
        return Started(
            directory=self._path,
            epochs=self._settings.epochs,
            position=start.found.position,
            batches=MappingProxyType(dict(data.batches)),
            metrics=MappingProxyType(self._infos()),
            history=start.store.history.table(),
        )

    def _measured(self) -> dict[Split, tuple[Metric, ...]]:
        """The registered metrics, and the loss in any case: checkpoints and the check for NaN ask for it."""
        return {
            split: metrics if any(metric.name == Loss.name for metric in metrics) else (*metrics, Loss())
            for split, metrics in self._metrics.items()
        }

    def _application_log(self, run: RunDirectory) -> AbstractContextManager[None]:
        installer = self._settings.application_log
        return nullcontext() if installer is None else installer(run.log)


def _note(event: Event) -> None:
    """What experiment.log tells of the run while it goes on."""
    if isinstance(event, EpochEnded):
        _log.info("Epoch %s is done.", event.epoch)
    elif isinstance(event, Saved):
        _log.info("Saving checkpoint %s.", event.position)
