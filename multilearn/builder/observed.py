"""What is measured in a run, who receives it, and what is shown: these methods of the builder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from multilearn.arguments import require
from multilearn.builder.as_data import AsData
from multilearn.events import Split
from multilearn.learner.argument_checks import (
    as_metric,
    require_callable,
    require_loggers,
    require_metric,
    require_taking_one,
    splits_of,
)
from multilearn.learner.consistency import refuse_twice
from multilearn.learner.listeners import EpochListener
from multilearn.learner.settings import Registered
from multilearn.loggers import MetricLogger
from multilearn.metrics import AnyMetric
from multilearn.renderers import Renderer
from multilearn.run.log import Installer

__all__ = ["Observed"]


@dataclass(frozen=True, init=False)
class Observed(AsData):
    """The methods of `LearnerBuilder` that do not change what is trained."""

    def metric_train(self, metric: AnyMetric | str) -> Self:
        """Measure `metric` on the training batches: logged, and shown as text."""
        return self._with_metric(Split.TRAIN, metric, plotted=False)

    def metric_valid(self, metric: AnyMetric | str) -> Self:
        """Measure `metric` on the validation batches: logged, and shown as text."""
        return self._with_metric(Split.VALID, metric, plotted=False)

    def metric_train_numeric(self, metric: AnyMetric | str) -> Self:
        """Measure a numeric `metric` on the training batches: logged, plotted, and in the summary."""
        return self._with_metric(Split.TRAIN, metric, plotted=True)

    def metric_valid_numeric(self, metric: AnyMetric | str) -> Self:
        """Measure a numeric `metric` on the validation batches: logged, plotted, and in the summary."""
        return self._with_metric(Split.VALID, metric, plotted=True)

    def metrics(self, *metrics: AnyMetric | str) -> Self:
        """Measure each on both splits, one of updates in training; numeric ones are plotted. A text is the name of a
        metric of Keras."""
        builder = self
        for metric in map(as_metric, metrics):
            for split in splits_of(metric):
                builder = builder._with_metric(split, metric, plotted=getattr(metric, "numeric", False))
        return builder

    def metric_loggers(self, *loggers: MetricLogger) -> Self:
        """Log metrics with these instead of with a `FileMetricLogger`. Without arguments, nothing is logged.

        A tracker is given beside it: `.metric_loggers(FileMetricLogger(), TensorBoardLogger())`. From the metric files
        a tracker of a resumed run gets what it lacks, and so does `multilearn export`.
        """
        require_loggers(loggers)
        return self._with(loggers=loggers)

    def renderer(self, renderer: Renderer) -> Self:
        """Show progress with this instead of with a `CliRenderer`. `MULTILEARN_RENDERER` wins over it."""
        require(renderer, Renderer, "A renderer must have the methods host(fit), render(event) and close().")
        return self._with(renderer=renderer)

    def with_application_logger(self, installer: Installer | None) -> Self:
        """While `fit` runs, have the context `installer(path of experiment.log)` in force; None for no such log."""
        return self._with(application_log=installer)

    def on_epoch(self, function: EpochListener) -> Self:
        """Call `function` after each epoch with an `EpochReport`: the epoch, the history, the model as it is trained so
        far. It may log texts and images, which are kept in the directory and shown by screens, reports and trackers.

        Several are called in the order in which they were given. With several processes each calls it, so that it may
        use `ml.predict`, and the first one logs.
        """
        rule = "A function that is called after each epoch takes one argument, the report."
        require_callable(function, rule)
        require_taking_one(function, rule, "an EpochReport: report.epoch, report.history, report.model")
        return self._with(on_epoch=(*self._settings.on_epoch, function))

    def summary(self) -> Self:
        """Print a table of the metrics when the run ends."""
        return self._with(show_summary=True)

    def _with_metric(self, split: Split, metric: AnyMetric | str, plotted: bool) -> Self:
        found: AnyMetric = as_metric(metric)
        require_metric(found, split, plotted)
        refuse_twice(found.name, split, self._settings)
        return self._with(metrics=(*self._settings.metrics, Registered(split, found, plotted)))
