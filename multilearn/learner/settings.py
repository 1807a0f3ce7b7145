"""The settings of a builder: plain frozen data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from multilearn.checkpoint import DEFAULT, AnyOf, CheckpointStrategy, KeepBest, Recorder
from multilearn.checkpoint.checkpointer import SaveInterval
from multilearn.early_stopping import StoppingRule
from multilearn.errors import ConfigurationError
from multilearn.events import MetricInfo, Split, is_validated
from multilearn.history import Monitor, watched_by
from multilearn.learner.interrupter import Interrupter
from multilearn.learner.listeners import EpochListener
from multilearn.learner.window import NanPolicy
from multilearn.loggers import MetricLogger
from multilearn.metrics import AnyMetric, Loss
from multilearn.protocols import Asked, Compiler, LRScheduler
from multilearn.renderers import Renderer
from multilearn.run.log import Installer, file_log
from multilearn.run.resume import Resume
from multilearn.storage.location import Location

__all__ = ["Registered", "Settings"]

_SPLITS = (Split.TRAIN, Split.VALID)


@dataclass(frozen=True)
class Registered:
    """A metric on one split; a plotted one is numeric."""

    split: Split
    metric: AnyMetric
    plotted: bool = False

    def info(self) -> MetricInfo:
        metric = self.metric
        return MetricInfo(metric.name, metric.unit, metric.numeric, self.plotted, getattr(metric, "better", None))


@dataclass(frozen=True)
class Settings:
    """See the methods of `LearnerBuilder`; every field has its default there."""

    directory: Location
    overwrite: bool = False
    metrics: tuple[Registered, ...] = ()
    loggers: tuple[MetricLogger, ...] | None = None
    renderer: Renderer | None = None
    epochs: int = 1
    accumulation: int = 1
    validate_every: int = 1
    recorder: Recorder | None = None
    strategy: CheckpointStrategy = DEFAULT
    resume: Resume | None = None
    devices: tuple[str, ...] = ()
    application_log: Installer | None = file_log
    interrupter: Interrupter | None = None
    restore_best: Monitor | None = None
    checkpoint_every: SaveInterval | None = None
    early_stopping: StoppingRule | None = None
    nan_policy: NanPolicy = "stop"
    capture: bool = True
    compile: Compiler | None = None
    passes: bool = True
    show_summary: bool = False
    on_epoch: tuple[EpochListener, ...] = ()
    of_model: tuple[Registered, ...] = ()
    """What is measured besides what is registered: the loss, and what the model itself asks for."""

    def validates(self, epoch: int) -> bool:
        """Whether validation follows this epoch, if there is data for it."""
        return is_validated(epoch, self.validate_every, self.epochs)

    def of(self, split: Split) -> tuple[Registered, ...]:
        """The metrics that are measured on a split."""
        return tuple(registered for registered in (*self.metrics, *self.of_model) if registered.split == split)

    def infos(self) -> dict[Split, tuple[MetricInfo, ...]]:
        """What listeners need to know of them, by split."""
        return {split: tuple(registered.info() for registered in self.of(split)) for split in _SPLITS}

    def measured(self) -> dict[Split, tuple[AnyMetric, ...]]:
        """They themselves, by split."""
        return {split: tuple(registered.metric for registered in self.of(split)) for split in _SPLITS}

    def following(self, asked: Asked) -> Settings:
        """With the loss, which is always shown, and what a model asks for: metrics, and steps that are run eagerly.

        Raises `ConfigurationError` if it asks for eager steps, and a compiler was asked for.
        """
        if asked.eagerly and self.compile is not None:
            raise ConfigurationError(
                "What is compiled is the captured step.",
                received=f"a model compiled with run_eagerly=True, and compile={self.compile!r}",
                remedy="Leave out one of the two.",
            )
        more = [
            Registered(split, metric, plotted=metric.numeric)
            for split in (Split.TRAIN, Split.VALID)
            for metric in (Loss(), *asked.metrics)
            if all(metric.name != each.metric.name for each in self.of(split))
        ]
        return replace(self, of_model=tuple(more), capture=self.capture and not asked.eagerly)

    @property
    def kept(self) -> CheckpointStrategy:
        """The strategy, and what `.restore_best` needs besides."""
        monitor = self.restore_best
        if monitor is None or monitor in watched_by(self.strategy):
            return self.strategy
        return AnyOf(self.strategy, KeepBest(monitor.metric, monitor.split, monitor.direction))

    def watched(self, scheduler: LRScheduler | None = None) -> Iterator[tuple[str, Monitor]]:
        """What decides about the run, by what asks for it."""
        yield from (("ReduceOnPlateau", monitor) for monitor in watched_by(scheduler))
        if self.restore_best is not None:
            yield "restore_best", self.restore_best
        yield from (("early_stopping", monitor) for monitor in watched_by(self.early_stopping))

    def describe_metrics(self) -> tuple[Mapping[str, Any], ...]:
        """What readers of metric files need to know of each metric, for `experiment.json`."""
        described: dict[str, dict[str, Any]] = {}
        for registered in (*self.metrics, *self.of_model):
            info = registered.info()
            repeatable = getattr(registered.metric, "repeatable", True)
            declared = {**asdict(info), "plotted": False, "repeatable": repeatable, "splits": []}
            entry = described.setdefault(info.name, declared)
            entry["splits"].append(str(registered.split))
            entry["plotted"] = entry["plotted"] or info.plotted
        return tuple(described.values())
