"""What a description cannot ask for, which is refused before anything is written, and what has no effect."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from multilearn.checkpoint import DEFAULT
from multilearn.errors import ConfigurationError, DataError
from multilearn.events import Split
from multilearn.history import Monitor, watched_by
from multilearn.learner.inputs import Data
from multilearn.learner.settings import Settings
from multilearn.loggers import FileMetricLogger
from multilearn.loggers.tracker import TrackerLogger
from multilearn.metrics import Loss
from multilearn.protocols import Loader, LRScheduler

__all__ = [
    "refuse_contradictions",
    "refuse_twice",
    "refuse_unmeasured",
    "refuse_used_up",
    "refuse_without_data",
    "without_effect",
]


def refuse_twice(name: str, split: Split, settings: Settings) -> None:
    """Raise `ConfigurationError` for a metric whose name another one has on that split already."""
    if any(each.metric.name == name for each in settings.of(split)):
        raise ConfigurationError(
            "A metric is registered once on each split.",
            received=f"{name} twice on {split}",
            remedy="Remove one of the two; variants of a metric need different names.",
        )


def refuse_contradictions(settings: Settings) -> None:
    """Raise `ConfigurationError` for what nothing follows from."""
    strategy = None if settings.strategy is DEFAULT else settings.strategy
    for what, given in (("A checkpointing strategy", strategy), ("checkpoint_every", settings.checkpoint_every)):
        if settings.recorder is None and given is not None:
            raise ConfigurationError(
                f"{what} needs a checkpointer.",
                received=f"{given!r}, and nothing is saved",
                remedy="Add .with_file_checkpointer().",
            )


def refuse_unmeasured(settings: Settings, scheduler: LRScheduler) -> None:
    """Raise `ConfigurationError` for what watches a metric that is not measured: a strategy, a rule, the schedule."""
    for monitor in watched_by(settings.strategy):
        _require_measured("KeepBest", monitor, settings)
    for what, monitor in settings.watched(scheduler):
        _require_measured(what, monitor, settings)


def refuse_without_data(settings: Settings, scheduler: LRScheduler, splits: Container[Split]) -> None:
    """Raise `ConfigurationError` if something watches a split that there is no data for."""
    for what, monitor in settings.watched(scheduler):
        if monitor.split not in splits:
            raise ConfigurationError(
                f"{what} watches {monitor.metric} of {monitor.split}, so it needs data for it.",
                received="no validation loader, or an empty one",
                remedy='Give fit a validation loader, or watch split="train".',
            )


def refuse_used_up(loaders: Mapping[Split, Loader], epochs: int) -> None:
    """Raise `DataError` for what has batches for one epoch, if there are more `epochs` to go."""
    for split, loader in loaders.items():
        if epochs > 1 and getattr(loader, "again", True) is False:
            raise DataError(
                "A generator is used up after one epoch.",
                received=f"one as data of {split}, and {epochs} epochs to train",
                remedy="Give fit the function that makes it, without calling it, or a list of batches.",
            )


def _require_measured(what: str, monitor: Monitor, settings: Settings) -> None:
    split = Split(monitor.split)
    measured = [Loss.name, *(each.metric.name for each in settings.of(split) if each.metric.numeric)]
    if split is Split.TEST:
        raise ConfigurationError(
            f"{what} watches the training or the validation.",
            received=f"{monitor.metric!r} on {split}",
            remedy='Write split="valid".',
        )
    if monitor.metric not in measured:
        raise ConfigurationError(
            f"{what} watches a numeric metric that is registered on its split, or the loss.",
            received=f"{monitor.metric!r} on {split}, where there are: {', '.join(dict.fromkeys(measured))}",
            remedy=f"Register it with .metric_{split}_numeric(...).",
        )


def without_effect(settings: Settings, data: Data) -> Iterator[str]:
    """Sentences for what was asked for and has no effect with these data."""
    given = settings.loggers or ()
    tracked, filed = (any(isinstance(each, kind) for each in given) for kind in (TrackerLogger, FileMetricLogger))
    if tracked and not filed:
        yield (
            "No metric files are written, as .metric_loggers has no FileMetricLogger: what a tracker misses is lost, "
            "and there is nothing to compare or to export."
        )
    if settings.validate_every > 1 and Split.VALID not in data.loaders:
        yield f"validate_every({settings.validate_every}) has no effect: there is no data to validate on."
    every, batches = settings.checkpoint_every, data.batches[Split.TRAIN]
    if every is not None and every.batches is not None and batches is not None:
        asked = f"checkpoint_every asks for {every.batches}"
        if every.batches >= batches:
            yield f"Nothing is saved inside an epoch: it has {batches} batches, and {asked}."
        elif settings.accumulation >= batches:
            yield f"Nothing is saved inside an epoch: its {batches} batches are one update, and {asked}."
    if settings.strategy is not DEFAULT:
        for best in watched_by(settings.strategy):
            if best.split not in data.loaders:
                yield f"KeepBest keeps nothing: there is no data of {best.split}, of which it watches {best.metric}."
