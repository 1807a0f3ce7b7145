"""A trained model on test data: metrics, files, and a look at its predictions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multilearn import backend as backends
from multilearn.arguments import require, settle
from multilearn.checkpoint import Recorder
from multilearn.data import batches_of, items_in, length
from multilearn.data.epochs import EpochLength
from multilearn.errors import ConfigurationError
from multilearn.evaluation.model import Trained, opened, placed
from multilearn.evaluation.predict import predict
from multilearn.events import START, Evaluating, Finished, Split
from multilearn.foreign_words import refusing
from multilearn.learner.argument_checks import (
    as_metric,
    device_names,
    require_loggers,
    require_metric,
    require_name,
    which_checkpoint,
)
from multilearn.learner.listeners import Listeners
from multilearn.learner.settings import Registered
from multilearn.learner.window import Pending, Reporter
from multilearn.loggers import FileMetricLogger, MetricLogger
from multilearn.metrics import AnyMetric, Loss
from multilearn.metrics.store import MetricStore
from multilearn.printable import aligned, printable
from multilearn.protocols import Devices, EngineOptions, of_device
from multilearn.renderers import Renderer, SilentRenderer
from multilearn.renderers.choice import chosen
from multilearn.renderers.notation import shown
from multilearn.renderers.stream import ForgivingStream
from multilearn.run.directory import refuse_unwritable
from multilearn.run.training_state import Progress
from multilearn.storage.layout import RunDirectory
from multilearn.storage.location import Location, readable
from multilearn.storage.refusals import reading
from multilearn.storage.throw_away import asked as only_tried
from multilearn.storage.throw_away import instead_of

__all__ = ["Evaluator"]


@dataclass(frozen=True)
class Evaluator:
    """Measures trained models on test data, for the run in `directory`, where `{backend}` and `{seed}` are replaced.

    A relative directory is relative to the current one when the evaluator is made; `~` is the home directory.

    `metrics`: what to measure; the loss is measured in any case, and what the model was compiled with.
    `metric_loggers`: instead of a `FileMetricLogger`, which writes `test/<name>/<metric>.log`; an empty list for none.
    `renderer`: instead of a `CliRenderer`. `recorder`: of the checkpoints, where it is one of your own. `device`:
    `"cpu"` or `"gpu:0"`, by default the framework's first. `capture=False` runs eagerly, for debugging.
    `summary`: print a table at the end.

    >>> Evaluator("runs/digits-{backend}", metrics=[Loss()]).directory
    'runs/digits-{backend}'
    """

    directory: str | os.PathLike[str]
    metrics: Sequence[AnyMetric] = ()
    metric_loggers: Sequence[MetricLogger] | None = None
    renderer: Renderer | None = None
    recorder: Recorder | None = None
    device: Devices | None = None
    capture: bool = True
    summary: bool = False
    _location: Location = field(init=False, repr=False)

    def __post_init__(self) -> None:
        location = Location.of(self.directory)
        settle(
            self,
            _location=location,
            directory=location.written,
            metrics=tuple(map(as_metric, _several("metrics", self.metrics))),
            metric_loggers=None if self.metric_loggers is None else _several("metric_loggers", self.metric_loggers),
            device=None if self.device is None else device_names(self.device),
        )
        for metric in self.metrics:
            require_metric(metric, Split.TEST, plotted=False)
        names = [metric.name for metric in self.metrics]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(
                "A metric is measured once.",
                received=f"{', '.join(sorted(twice))} twice",
                remedy="Remove one of the two; variants of a metric need different names.",
            )
        require_loggers(self.metric_loggers or ())
        if self.renderer is not None:
            require(self.renderer, Renderer, "A renderer must have the methods host(fit), render(event) and close().")
        if self.recorder is not None:
            require(self.recorder, Recorder, "A recorder must have an extension and the methods write and read.")

    @refusing
    def evaluate(
        self, model: Any, data: Any, name: str = "test", *, checkpoint: int | str | None = None
    ) -> Mapping[str, float | str]:
        """The exact value of each metric over all batches of `data`, by name; shares are fractions.

        `model`: a task, or a compiled Keras model, trained or not; it needs no optimizer, and is left as it is.
        `data`: a loader or a list of batches. `name`: what the evaluation is called; an earlier one of that name is
        replaced when this one is complete. `checkpoint`: use the weights of `"latest"`, `"best"` (by validation loss),
        an epoch, or `"3.120"` of the run, trained on whatever framework: those that were trained, also where an
        optimizer keeps averages of them.

        What does not fit is refused before anything is written: `ConfigurationError`, `DataError`, `DirectoryError`,
        `CheckpointNotFound`, `RecordMismatch`.
        """
        require_name(name, "evaluation")
        which = None if checkpoint is None else which_checkpoint(checkpoint)
        renderer = SilentRenderer() if backends.load().world.rank else chosen(self.renderer)
        return renderer.host(lambda: self._evaluate(model, data, name, which, renderer))

    @refusing
    def predict(self, model: Any, data: Any, *, checkpoint: int | str | None = None) -> Iterator[Any]:
        """`multilearn.predict` with the checkpoints, the recorder and the device of this one."""
        return predict(
            model,
            data,
            checkpoint=checkpoint,
            directory=self._location,
            recorder=self.recorder,
            device=self.device,
            capture=self.capture,
        )

    def _evaluate(
        self, model: Any, data: Any, name: str, which: str | None, renderer: Renderer
    ) -> Mapping[str, float | str]:
        path = placed(self._location)
        with reading(path):
            refuse_unwritable(path)
        asked = backends.load().asked_by(model)
        measured = self._measured(asked.metrics)
        options = EngineOptions(
            eval_metrics=of_device(measured),
            devices=() if self.device is None else device_names(self.device),
            capture=self.capture and not asked.eagerly,
        )
        world = backends.load().world
        loggers = (FileMetricLogger(),) if self.metric_loggers is None else tuple(self.metric_loggers)
        if world.rank:
            # the first process alone writes
            loggers = ()
        with ExitStack() as stack:
            trained = stack.enter_context(opened(model, data, options, which, path, self.recorder))
            listeners = Listeners(loggers, renderer)
            stack.callback(listeners.close)
            try:
                values = _measure(trained, measured, listeners, name, instead_of(path))
            except BaseException as error:
                listeners.failed(START, error)
                raise
        world.barrier()
        if self.summary and world.rank == 0:
            _print_summary(measured, name, path, values)
        return MappingProxyType(values)

    def _measured(self, of_model: Sequence[AnyMetric]) -> tuple[AnyMetric, ...]:
        names = {metric.name for metric in self.metrics}
        metrics = (*self.metrics, *(metric for metric in of_model if metric.name not in names))
        return metrics if Loss.name in names else (*metrics, Loss())


def _measure(
    trained: Trained, measured: Sequence[AnyMetric], listeners: Listeners, name: str, path: Path
) -> dict[str, float | str]:
    store = MetricStore({Split.TEST: measured})
    reporter = Reporter(trained.engine, store, listeners, "ignore", Progress())
    batches = length(trained.loader)
    infos = tuple(Registered(Split.TEST, metric, metric.numeric).info() for metric in measured)
    listeners.tell(Evaluating(path, name, trained.position, batches, infos))
    reporter.begin(Split.TEST)
    with batches_of(trained.loader, trained.seed, 1, world=backends.load().world) as found:
        looked_at = islice(found, 1) if only_tried() else found
        for number, batch in enumerate(EpochLength(Split.TEST, batches).counted(looked_at, 1), start=1):
            reporter.add(Split.TEST, 1, Pending(number, 0, None, items_in(batch), trained.engine.eval_step(batch)))
    readings = reporter.end(Split.TEST, 1)
    listeners.tell(Finished(START))
    return {name: reading.value for name, reading in readings.items()}


def _print_summary(measured: Sequence[AnyMetric], name: str, path: Path, values: Mapping[str, float | str]) -> None:
    rows = [[metric.name, shown(values[metric.name], metric.unit)] for metric in measured if metric.name in values]
    head = printable(f"evaluation {name}, in {readable(RunDirectory(path).test(name))}")
    ForgivingStream(sys.stdout).say("\n".join([head, *aligned(rows, indent="  ")]))


def _several(what: str, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, (list, tuple)):
        raise ConfigurationError(
            f"{what} must be a list.", received=repr(given), remedy=f"Write {what}=[...], also for a single one."
        )
    return tuple(given)
