"""The learner: it looks at what it was given, takes hold of the directory, runs the loop, and puts everything back."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from multilearn.checkpoint import CheckpointFolder, MpkGzRecorder
from multilearn.errors import ConfigurationError
from multilearn.events import Attached, Finished, Split, Started
from multilearn.foreign_words import Suggesting, refusing
from multilearn.learner import fit_in_processes as elsewhere
from multilearn.learner.consistency import refuse_without_data
from multilearn.learner.inputs import Data, examine
from multilearn.learner.interrupter import EXIT_STATUS, Interrupter, Signals
from multilearn.learner.listeners import AfterEpoch, Listeners
from multilearn.learner.loop import Loop
from multilearn.learner.place import prepare
from multilearn.learner.ranks import ending_together, require_alike, require_one_directory, require_shared
from multilearn.learner.session import devices_of, experiment_of, in_session, initial_weights
from multilearn.learner.start import BuiltRun, Start
from multilearn.loggers import FileMetricLogger, MetricLogger
from multilearn.loggers.attachments import write_attachment
from multilearn.loggers.stop_request import StopRequests
from multilearn.loggers.timeline import Timeline
from multilearn.metrics.store import MetricStore
from multilearn.plots.figure import Figure
from multilearn.printable import printable
from multilearn.records.object_state import require_savable
from multilearn.renderers import Renderer, SilentRenderer
from multilearn.renderers.choice import chosen
from multilearn.renderers.history_charts import say_with_charts
from multilearn.renderers.history_view import EpochHistory
from multilearn.renderers.summary import summary
from multilearn.run.copies import bring_along
from multilearn.run.directory import claim_directory
from multilearn.run.environment import Weights
from multilearn.run.restore_best import lineage, restore_best
from multilearn.storage.layout import RunDirectory

__all__ = ["Learner"]

_log = logging.getLogger("multilearn")


class Learner(Suggesting):
    """One model, to be trained once. Made by `LearnerBuilder.build`."""

    def __init__(self, run: BuiltRun) -> None:
        self._run = run
        self._settings = run.settings
        # its own: neither a signal nor a rule may stop other learners that listen to the same one
        self._interrupter = Interrupter(run.settings.interrupter)
        recorder = run.settings.recorder
        self._store = MetricStore(
            run.settings.measured(), None if recorder is None else partial(require_savable, recorder)
        )
        self._splits: frozenset[Split] = frozenset()
        self._fitted = False
        self._completed = False
        self._restored: int | None = None

    @property
    def directory(self) -> Path:
        """Where metrics, logs and checkpoints are."""
        return self._run.path

    @property
    def history(self) -> EpochHistory:
        """The exact value after each epoch, from epoch 1 on, by split and metric: `history["valid"]["Loss"][-1]`.

        NaN for an epoch in which a metric was not measured; one that never was is left out. Of splits that have data,
        every numeric metric and the loss are there when training begins, without values until an epoch is done.
        `history.frame()` is a `pandas.DataFrame` of it.
        """
        measured = self._settings.measured()
        numeric = {split: [metric.name for metric in measured[split] if metric.numeric] for split in self._splits}
        return EpochHistory(self._store.history, self._settings.infos(), self._run.path.name, numeric)

    def plot(self, *metrics: str) -> Figure:
        """The curves of these metrics, by default of those that are validated: `learner.plot().save("curves.pdf")`."""
        return self.history.plot(*metrics)

    def _repr_html_(self) -> str:
        stopped = f"stopped: {self.stopped_by}" if self.stopped_by else "not trained to its end"
        return self.history.as_html(f"{self._run.path}, {'completed' if self._completed else stopped}")

    @property
    def stopped_by(self) -> str | None:
        """Why the run stops before its end: `"SIGINT"`, `"SIGTERM"`, or a reason; None if it was completed."""
        return None if self._completed else self._interrupter.reason

    @property
    def restored(self) -> int | None:
        """The epoch whose weights `fit` returned, as `.restore_best(...)` asked; None if those are the last ones."""
        return self._restored

    @refusing
    def fit(self, train: Any, valid: Any = None) -> Any:
        """Train on the batches of `train`, validate on those of `valid` after epochs, and return the trained model.

        Both are loaders, such as `DataLoader`, or whatever yields batches: a list of them, a torch `DataLoader`, a
        `tf.data.Dataset`, a `keras.utils.PyDataset`, what Grain makes, any iterable, a function that makes a generator.

        Raises `ConfigurationError`, `DataError` or `RecordMismatch`, before anything is written, for what does not fit,
        `UnknownArgument`, a `TypeError`, for words of other libraries (`epochs=`), saying what to use;
        `NonFiniteLoss` when the training diverges; and whatever a listener raises.
        """
        if self._fitted:
            raise ConfigurationError(
                "A learner is fitted once.",
                received="a second fit",
                remedy='Build another, with .checkpoint("latest") to resume from where this one ended.',
            )
        if count := elsewhere.processes_for(self._run):
            return self._take(elsewhere.trained(count, self._run, self._settings.measured(), train, valid))
        world, handed_over = self._run.backend.world, elsewhere.begun()
        renderer = chosen(self._settings.renderer) if world.rank == 0 else SilentRenderer()
        with ending_together(world, RunDirectory(self._run.path), elsewhere.end_with_error if handed_over else None):
            start = renderer.host(lambda: self._fit(train, valid, renderer))
        if handed_over:
            elsewhere.end_with_outcome(start.engine.record(), self._outcome(), world)
        return self._run.subject.task.model

    def _fit(self, train: Any, valid: Any, renderer: Renderer) -> Start:
        directory, world = RunDirectory(self._run.path), self._run.backend.world
        with ExitStack() as stack:
            signals = stack.enter_context(Signals(self._interrupter))
            data = examine(train, valid, self._run.seed, stack)
            refuse_without_data(self._settings, self._run.subject.scheduler, data.loaders)
            require_alike(self._run, data)
            start = Start.of(self._run, data, self._settings.measured(), self._store, stack)
            described = initial_weights(start), devices_of(self._run)
            require_one_directory(start.found, world)
            signals.take()
            if world.rank == 0:
                stack.enter_context(claim_directory(directory))
            self._fitted, self._splits = True, frozenset(data.loaders)
            if world.rank == 0:
                loop = self._writing(data, start, described, renderer, stack)
            else:
                loop = start.loop(data.loaders, self._listeners((), renderer), self._interrupter)
            require_shared(world, directory)
            self._train(loop, start, start.started(data, self._settings.infos()), signals)
        world.barrier()
        EXIT_STATUS.fitted(self.stopped_by)
        if self._settings.show_summary and world.rank == 0:
            text = summary(
                self._store.history,
                self._settings.infos(),
                self._run.path,
                loop.progress.position.finished_epochs,
                self.stopped_by,
                restored=self._restored,
                skipped=loop.progress.skipped,
                texts=self._store.texts,
            )
            say_with_charts(text, self._store.history, self._settings.infos(), sys.stdout)
        return start

    def _outcome(self) -> elsewhere.FitOutcome:
        return elsewhere.FitOutcome(self._store.history, self._splits, self._completed, self.stopped_by, self._restored)

    def _take(self, outcome: elsewhere.FitOutcome) -> Any:
        self._fitted, self._splits, self._completed = True, outcome.splits, outcome.completed
        self._store.journal.history, self._restored = outcome.history, outcome.restored
        if outcome.stopped_by is not None:
            self._interrupter.stop(outcome.stopped_by)
        EXIT_STATUS.fitted(self.stopped_by)
        return self._run.subject.task.model

    def _writing(
        self, data: Data, start: Start, described: tuple[Weights, list[str]], renderer: Renderer, stack: ExitStack
    ) -> Loop:
        """The loop of the process that writes, with all that it writes into begun."""
        directory, source = RunDirectory(self._run.path), start.found.source
        notes = [*start.notes, *prepare(directory, self._settings, start.found)]
        if (installer := self._settings.application_log) is not None:
            stack.enter_context(installer(directory.log))
        loggers = (FileMetricLogger(),) if self._settings.loggers is None else self._settings.loggers
        own = Timeline(directory), StopRequests(directory, self._interrupter.stop)
        loop = start.loop(data.loaders, self._listeners((*own, *loggers), renderer), self._interrupter)
        stack.enter_context(in_session(experiment_of(start, *described), directory, loop, lambda: self._restored))
        if source not in (None, directory.path):
            bring_along(directory, source, start.found.position)
        for note in notes:
            _log.warning("%s", printable(note))
        return loop

    def _train(self, loop: Loop, start: Start, started: Started, signals: Signals) -> None:
        listeners = loop.reporter.listeners
        with ExitStack() as open_ones:
            open_ones.callback(listeners.close)
            open_ones.callback(loop.checkpointer.close)
            try:
                listeners.tell(started)
                with signals.interruptible():
                    loop.run()
                self._completed = loop.completed
                # nothing is said to be finished before it is on disk
                loop.checkpointer.close()
                loop.tell_saved()
                start.run.backend.world.barrier()
                self._restore(loop, start)
                if self._settings.restore_best is None:
                    # the records have the weights that were measured; averages of them may follow now
                    start.engine.finish()
                progress = loop.progress
                listeners.tell(
                    Finished(
                        progress.position,
                        self.stopped_by,
                        restored=self._restored,
                        skipped=progress.skipped,
                        by_rule=loop.by_rule and not loop.completed,
                        summary=self._settings.show_summary,
                    )
                )
            except BaseException as error:
                listeners.failed(loop.progress.position, error)
                raise

    def _restore(self, loop: Loop, start: Start) -> None:
        monitor = self._settings.restore_best
        if monitor is not None:
            runs = [RunDirectory(path).checkpoints for path in lineage(self._run.path)]
            folders = [CheckpointFolder(path, self._settings.recorder or MpkGzRecorder()) for path in runs]
            self._restored = restore_best(
                monitor, self._store.history, loop.progress.position, start.engine, loop.checkpointer, folders
            )

    def _listeners(self, loggers: tuple[MetricLogger, ...], renderer: Renderer) -> Listeners:
        run = self._run
        if not self._settings.on_epoch:
            return Listeners(loggers, renderer)

        def keep(attached: Attached) -> None:
            if run.backend.world.rank == 0:
                write_attachment(RunDirectory(run.path), attached)
                listeners.tell(attached)

        task = run.subject.task
        streams_kept = partial(run.backend.streams_kept, task)
        after = AfterEpoch(self._settings.on_epoch, task.model, lambda: self.history, streams_kept, keep)
        listeners = Listeners(loggers, renderer, after)
        return listeners
