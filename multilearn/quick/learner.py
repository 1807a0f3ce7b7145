"""A learner that is only tried: what `fit` does, in two epochs of a batch, and then a resume and an evaluation."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from multilearn.data import as_loader, length
from multilearn.errors import CheckpointError, ConfigurationError, DataError
from multilearn.evaluation import Evaluator
from multilearn.events import Position, Split
from multilearn.foreign_words import refusing
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.learner import Learner
from multilearn.learner.listeners import Listeners
from multilearn.learner.loop import Loop
from multilearn.learner.settings import Settings
from multilearn.learner.start import BuiltRun, Start
from multilearn.loggers.tracker import TrackerLogger
from multilearn.metrics import UpdateMetric
from multilearn.metrics.store import MetricStore
from multilearn.quick.trial import FewBatches, batches_of_epoch, keep_checkpoints, shortened
from multilearn.renderers import SilentRenderer
from multilearn.run.directory import holds_run
from multilearn.run.resume import Resume, find, locate
from multilearn.run.training_state import Progress
from multilearn.schedulers.schedule import private_copy, spanned
from multilearn.seeding.streams import kept_globals
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import readable
from multilearn.storage.throw_away import report

__all__ = ["QuickLearner"]


class QuickLearner(Learner):
    """`real`: the directory that that of the run stands for; `described`: the settings as the script has them."""

    def __init__(self, run: BuiltRun, real: Path, described: Settings) -> None:
        super().__init__(run)
        self._real, self._described = real, described
        trackers = (logger for logger in described.loggers or () if isinstance(logger, TrackerLogger))
        self._facts: dict[str, Any] = {
            "directory": readable(real),
            "untracked": [type(logger).__name__ for logger in trackers],
        }

    @refusing
    def fit(self, train: Any, valid: Any = None) -> Any:
        """As that of a learner, with what is in the docs of `multilearn run --quick`. Facts of it are reported."""
        started = time.monotonic()
        loaders = [None if data is None else as_loader(data, name) for data, name in _named(train, valid)]
        self._shorten(loaders[0])
        few = batches_of_epoch(self._settings), 1
        cut = [None if each is None else FewBatches(each, most) for each, most in zip(loaders, few, strict=True)]
        self._facts["batches"] = few[0]
        model = self._fit_saving(cut)
        self._evaluate(*cut)
        if self._run.backend.world.rank == 0:
            report({**self._facts, "stopped_by": self.stopped_by, "seconds": time.monotonic() - started})
        return model

    def _shorten(self, train: Any) -> None:
        """Two epochs, at learning rates as they are in all of them."""
        run, settings = self._run, self._settings
        resume = settings.resume
        try:
            position = None if resume is None else locate(resume, run.path, settings.recorder).position
        except CheckpointError:
            position = None  # which `fit` refuses
        schedule = spanned(run.subject.scheduler, settings.epochs, length(train), settings.accumulation)
        self._settings = shortened(settings, 0 if position is None else position.finished_epochs)
        self._run = replace(run, settings=self._settings, subject=replace(run.subject, scheduler=schedule))
        self._schedule = private_copy(schedule)
        if not settings.overwrite and resume is None and holds_run(self._real):
            self._facts["exists"] = True
        if position is not None:
            self._facts["began"] = str(position)

    def _fit_saving(self, data: list[FewBatches | None]) -> Any:
        try:
            return super().fit(*data)
        except ConfigurationError as error:
            if self._described.recorder is not None or self._fitted:
                raise
            # a state that cannot be saved is none of a script's that saves nothing
            settings = self._settings = replace(self._settings, recorder=None)
            self._run = replace(self._run, settings=settings)
            self._store = MetricStore(settings.measured())
            try:
                return super().fit(*data)
            except ConfigurationError:
                raise error from None

    def _restore(self, loop: Loop, start: Start) -> None:
        """Also: resume from the first checkpoint, and leave everything as it was."""
        first, last = start.found.position.finished_epochs + 1, loop.progress.position.finished_epochs
        self._facts |= {"epochs": [first, last], "splits": list(map(str, loop.loaders))}
        if loop.completed and first <= last and self._settings.recorder is not None:
            saved = RunDirectory(self._run.path).checkpoints.glob(f"*-{last}.*")
            self._facts["checkpoint"] = sum(path.stat().st_size for path in saved)
            if first < last and any(getattr(loader, "once", False) for loader in loop.loaders.values()):
                self._facts["once"] = True
            else:
                record = loop.engine.record()
                with kept_globals():
                    self._facts |= self._resumed(loop, start, first, last)
                loop.engine.restore(record)
        elif first > last and start.found.source == self._real and self._run.backend.world.rank == 0:
            keep_checkpoints(self._run.path, self._real)
        super()._restore(loop, start)

    def _resumed(self, loop: Loop, start: Start, first: int, last: int) -> dict[str, Any]:
        run, settings, store = self._run, self._settings, MetricStore(self._settings.measured())
        found = find(Resume(str(first)), run.path, settings.recorder, settings.epochs, loop.engine)
        alone = replace(settings, recorder=None, restore_best=None, early_stopping=None)
        again = replace(
            start,
            run=replace(run, settings=alone),
            found=found,
            scheduler=self._schedule,
            store=store,
            progress=Progress(seconds=start.progress.seconds),
        ).resumed(loop.loaders, start.described["loaders"][Split.TRAIN])
        second = again.loop(loop.loaders, Listeners((), SilentRenderer()), Interrupter(self._interrupter))
        second.run()
        repeats = all(getattr(loader, "repeats", True) for loader in loop.loaders.values())
        compared = second.completed and repeats
        differs = self._differences(store, range(first + 1, last + 1)) if compared else []
        return {"resumed": first, "compared": compared, "differs": differs}

    def _differences(self, store: MetricStore, epochs: range) -> list[str]:
        """What the resumed run measured otherwise than the one that was not interrupted."""
        found = []
        for split, metrics in self._settings.measured().items():
            for metric in metrics:
                one, other = (each.history.values(split, metric.name) for each in (self._store, store))
                for epoch in epochs:
                    values = one.get(epoch, math.nan), other.get(epoch, math.nan)
                    if getattr(metric, "repeatable", True) and not _equal(*values):
                        found.append(f"{split} {metric.name} of epoch {epoch} is {values[1]:.6g}, not {values[0]:.6g}")
        return found

    def _evaluate(self, train: FewBatches | None, valid: FewBatches | None) -> None:
        """The checkpoint of the last epoch, on the validation data if there are any."""
        if self._facts.get("checkpoint") is None:
            return
        split, settings = (Split.TRAIN if valid is None else Split.VALID), self._settings
        last = Position(self._facts["epochs"][1])
        evaluator = Evaluator(
            self._real,
            metrics=[each.metric for each in settings.metrics if each.split is split and _of_batches(each.metric)],
            metric_loggers=[],
            renderer=SilentRenderer(),
            recorder=settings.recorder,
            device=settings.devices or None,
            capture=settings.capture,
        )
        try:
            values = evaluator.evaluate(self._run.subject.task, valid or train, checkpoint=str(last))
        except DataError as error:
            self._facts["not_evaluated"] = str(error)
        else:
            self._facts["evaluated"] = dict(values)


def _named(train: Any, valid: Any) -> tuple[tuple[Any, str], tuple[Any, str]]:
    return (train, "training"), (valid, "validation")


def _of_batches(metric: Any) -> bool:
    return not isinstance(metric, UpdateMetric)


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5) or (math.isnan(one) and math.isnan(other))
