"""From a description to a Learner: each method returns a new builder, `build` checks the whole."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multilearn import backend as backends
from multilearn import seed as seeds
from multilearn.application_log import Installer
from multilearn.artifacts import file_name
from multilearn.checkpoint import CheckpointStrategy, MpkGzRecorder, Recorder
from multilearn.errors import ConfigurationError, DirectoryError
from multilearn.events import Split
from multilearn.experiment import refuse_existing_run
from multilearn.interrupter import Interrupter
from multilearn.learner import Learner
from multilearn.loggers import MetricLogger
from multilearn.metrics import Metric
from multilearn.position import Position
from multilearn.protocols import Device
from multilearn.renderers import Renderer
from multilearn.settings import Registered, Resume, Settings

__all__ = ["LearnerBuilder"]

_LONGEST = 200


@dataclass(frozen=True, init=False)
class LearnerBuilder:
    """Describes a run in `directory`; `{backend}` and `{seed}` in it are replaced by `build`.

    A directory that already holds a run is refused, unless `.checkpoint(...)` goes on from it, or `overwrite` says
    that it may be replaced: then the files of the old run are removed when `fit` starts, and no others.

    >>> half = LearnerBuilder("runs/{backend}").num_epochs(10)
    >>> half.grads_accumulation(4) is half
    False
    """

    _settings: Settings

    def __init__(self, directory: str | os.PathLike[str], overwrite: bool = False) -> None:
        if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
            raise ConfigurationError(
                "A run needs the path of its directory.",
                received=repr(directory),
                remedy="Write for instance 'runs/a'.",
            )
        object.__setattr__(self, "_settings", Settings(os.fspath(directory), overwrite))

    def metric_train(self, metric: Metric) -> LearnerBuilder:
        """Measure `metric` on the training batches: logged, and shown as text."""
        return self._with_metric(Split.TRAIN, metric, plotted=False)

    def metric_valid(self, metric: Metric) -> LearnerBuilder:
        """Measure `metric` on the validation batches: logged, and shown as text."""
        return self._with_metric(Split.VALID, metric, plotted=False)

    def metric_train_numeric(self, metric: Metric) -> LearnerBuilder:
        """Measure a numeric `metric` on the training batches: logged, plotted, and in the summary."""
        return self._with_metric(Split.TRAIN, metric, plotted=True)

    def metric_valid_numeric(self, metric: Metric) -> LearnerBuilder:
        """Measure a numeric `metric` on the validation batches: logged, plotted, and in the summary."""
        return self._with_metric(Split.VALID, metric, plotted=True)

    def metrics(self, *metrics: Metric) -> LearnerBuilder:
        """Measure each on both splits; numeric ones are plotted."""
        builder = self
        for metric in metrics:
            for split in (Split.TRAIN, Split.VALID):
                builder = builder._with_metric(split, metric, plotted=getattr(metric, "numeric", False))
        return builder

    def metric_loggers(self, *loggers: MetricLogger) -> LearnerBuilder:
        """Log metrics with these instead of with a `FileMetricLogger`. Without arguments, nothing is logged."""
        for logger in loggers:
            _require(logger, MetricLogger, "A metric logger must have the methods log(event), flush() and close().")
        return self._with(loggers=loggers)

    def num_epochs(self, epochs: int) -> LearnerBuilder:
        """Train until `epochs` epochs are done in total, those before a resume included. Default: 1."""
        return self._with(epochs=_at_least_one("num_epochs", epochs, "To train for one epoch, leave it out."))

    def grads_accumulation(self, batches: int) -> LearnerBuilder:
        """Update once every so many batches, with the mean gradient over all their items, as if they were one batch.

        What is left at the end of an epoch makes an update of its own. Default: 1.
        """
        remedy = "To update on every batch, leave it out."
        return self._with(accumulation=_at_least_one("grads_accumulation", batches, remedy))

    def with_file_checkpointer(self, recorder: Recorder | None = None) -> LearnerBuilder:
        """Save model, optimizer and scheduler into the directory after an epoch, as the strategy says.

        `recorder`: the file format, by default `MpkGzRecorder()`.
        """
        recorder = MpkGzRecorder() if recorder is None else recorder
        _require(recorder, Recorder, "A recorder must have an extension and the methods write and read.")
        return self._with(recorder=recorder)

    def with_checkpointing_strategy(self, strategy: CheckpointStrategy) -> LearnerBuilder:
        """Which checkpoints to keep. Default: the last two, and the best by validation loss."""
        _require(strategy, CheckpointStrategy, "A checkpointing strategy must have the method keep(epochs, history).")
        return self._with(strategy=strategy)

    def checkpoint(self, which: int | str, directory: str | os.PathLike[str] | None = None) -> LearnerBuilder:
        """Go on from a checkpoint: of an epoch, `"latest"`, `"best"` (by validation loss), or one inside an epoch
        (`"3.120"`); of this directory, or of another run's, which is left as it is.

        `"latest"` where nothing was saved starts at epoch 1, and says so.
        """
        if isinstance(which, bool) or not isinstance(which, (int, str)):
            raise ConfigurationError(
                "A checkpoint is named by an epoch (int) or by text: 'latest', 'best', or '3.120' inside an epoch.",
                received=repr(which),
                remedy=f"Write it in quotes: {str(which)!r}." if isinstance(which, float) else "Write for instance 3.",
            )
        if which not in ("latest", "best") and Position.parse(str(which)).epoch < 1:
            raise ConfigurationError(
                "Epochs are counted from 1.", received=which, remedy="To start at the beginning, leave it out."
            )
        source = None if directory is None else Path(os.fspath(directory))
        return self._with(resume=Resume(str(which), source))

    def devices(self, devices: Sequence[Device | str]) -> LearnerBuilder:
        """Train on this device, `["cpu"]` or `["gpu:0"]`. Default: the framework's first."""
        names = [devices] if isinstance(devices, (str, Device)) else list(devices or ())
        if not names:
            raise ConfigurationError(
                "A learner trains on a device.",
                received=repr(devices),
                remedy="Leave it out for the framework's first.",
            )
        if len(names) != 1:
            raise ConfigurationError(
                "A learner trains on one device: several at once are not supported yet.",
                received=f"{len(names)} devices",
                remedy="Give one, or leave it out for the framework's first.",
            )
        return self._with(device=str(names[0]))

    def renderer(self, renderer: Renderer) -> LearnerBuilder:
        """Show progress with this instead of with a `CliRenderer`."""
        _require(renderer, Renderer, "A renderer must have the methods host(fit), render(event) and close().")
        return self._with(renderer=renderer)

    def with_application_logger(self, installer: Installer | None) -> LearnerBuilder:
        """While `fit` runs, have the context `installer(path of experiment.log)` in force; None for no such log."""
        if installer is not None and not callable(installer):
            raise ConfigurationError(
                "An application logger is a function of a path that returns a context manager, or None.",
                received=repr(installer),
                remedy="Leave it out for the default, which writes experiment.log.",
            )
        return self._with(application_log=installer)

    def with_interrupter(self, interrupter: Interrupter) -> LearnerBuilder:
        """Let `interrupter.stop(reason)`, from any thread, end the run after the batch it is at."""
        _require(interrupter, Interrupter, "An interrupter is a multilearn.Interrupter.")
        return self._with(interrupter=interrupter)

    def summary(self) -> LearnerBuilder:
        """Print a table of the metrics when the run ends."""
        return self._with(show_summary=True)

    def build(self, model: Any, optimizer: Any = None, lr: Any = None) -> Learner:
        """The learner.

        `model`: a task, such as `Classification(model)`, or a compiled Keras model. `optimizer`: a Keras optimizer or
        its name; None for the compiled model's own. `lr`: a scheduler, a number for a constant rate, a Keras
        `LearningRateSchedule`, or None for the optimizer's own.

        Raises `ConfigurationError` for what cannot work, `DirectoryError` for a directory that cannot be used,
        `BackendError` for a framework that cannot be had. Nothing is written before `fit`.
        """
        self._settings.refuse_contradictions()
        backend = backends.load()
        subject = backend.adopt(model, optimizer, lr)
        seed = seeds.current()
        path = Path(self._settings.directory.replace("{backend}", backend.name).replace("{seed}", str(seed)))
        _refuse_unwritable(path)
        settings = self._settings
        if settings.resume is not None and settings.resume.is_of(path):
            # named like another run's: what is gone on from must never be overwritten
            settings = replace(settings, resume=Resume(settings.resume.which))
        resumes_here = settings.resume is not None and settings.resume.directory is None
        if not settings.overwrite and not resumes_here:
            refuse_existing_run(path)
        return Learner(settings, path, backend, subject, seed)

    def _with_metric(self, split: Split, metric: Metric, plotted: bool) -> LearnerBuilder:
        _require(metric, Metric, "A metric must have name, unit, numeric, measure, merge and entry.")
        if plotted and not metric.numeric:
            raise ConfigurationError(
                "Only a numeric metric can be plotted.",
                received=f"{metric.name}, whose values are text",
                remedy=f"Register it with .metric_{split}(...).",
            )
        if not metric.name.strip():
            raise ConfigurationError("A metric needs a name.", received=repr(metric.name), remedy="Give it one.")
        if len(file_name(metric.name)) > _LONGEST:
            raise ConfigurationError(
                f"A metric's name becomes a file name, of at most {_LONGEST} bytes.",
                received=f"{metric.name[:40]!r}..., which takes {len(file_name(metric.name))}",
                remedy="Shorten it.",
            )
        if any(known.metric.name == metric.name for known in self._settings.of(split)):
            raise ConfigurationError(
                "A metric is registered once on each split.",
                received=f"{metric.name} twice on {split}",
                remedy="Remove one of the two; variants of a metric need different names.",
            )
        return self._with(metrics=(*self._settings.metrics, Registered(split, metric, plotted)))

    def _with(self, **changes: Any) -> LearnerBuilder:
        builder = LearnerBuilder(self._settings.directory)
        object.__setattr__(builder, "_settings", replace(self._settings, **changes))
        return builder


def _at_least_one(name: str, value: Any, remedy: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1.", received=repr(value), remedy=remedy)
    return operator.index(value)


def _require(thing: Any, protocol: type, rule: str) -> None:
    if isinstance(thing, type) or not isinstance(thing, protocol):
        hint = "Make an object of it, with parentheses." if isinstance(thing, type) else "See its documentation."
        raise ConfigurationError(rule, received=repr(thing), remedy=hint)


def _is_seen(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        # below a folder that we may not look into
        return False


def _refuse_unwritable(path: Path) -> None:
    existing = next(folder for folder in (path, *path.absolute().parents) if _is_seen(folder))
    if not existing.is_dir():
        raise DirectoryError(
            "The directory of a run must be a directory.",
            received=f"{existing}, which is a file",
            remedy="Use another.",
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DirectoryError(
            "The directory of a run must be writable.",
            received=f"{path}, and {existing} is not",
            remedy="Use another directory, or change its permissions.",
        )
