"""What a builder has been told: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multilearn.application_log import Installer, file_log
from multilearn.checkpoint import DEFAULT, CheckpointStrategy, Recorder
from multilearn.checkpoint.strategies import best_of
from multilearn.errors import ConfigurationError
from multilearn.events import MetricInfo, Split
from multilearn.interrupter import Interrupter
from multilearn.loggers import MetricLogger
from multilearn.metrics import Loss, Metric
from multilearn.renderers import Renderer

__all__ = ["Registered", "Resume", "Settings"]


@dataclass(frozen=True)
class Registered:
    """A metric on one split; a plotted one is numeric."""

    split: Split
    metric: Metric
    plotted: bool = False

    def info(self) -> MetricInfo:
        return MetricInfo(self.metric.name, self.metric.unit, self.metric.numeric, self.plotted)


@dataclass(frozen=True)
class Resume:
    """Where to go on from: `which` is a position as text, `"latest"` or `"best"`; `directory` another run's."""

    which: str
    directory: Path | None = None

    def is_of(self, path: Path) -> bool:
        """Whether it is the run in `path` itself, by whatever name."""
        return self.directory is None or self.directory.resolve() == path.resolve()


@dataclass(frozen=True)
class Settings:
    """See the methods of `LearnerBuilder`; every field has its default there."""

    directory: str
    overwrite: bool = False
    metrics: tuple[Registered, ...] = ()
    loggers: tuple[MetricLogger, ...] | None = None
    renderer: Renderer | None = None
    epochs: int = 1
    accumulation: int = 1
    recorder: Recorder | None = None
    strategy: CheckpointStrategy = DEFAULT
    resume: Resume | None = None
    device: str | None = None
    application_log: Installer | None = file_log
    interrupter: Interrupter | None = None
    show_summary: bool = False

    def of(self, split: Split) -> tuple[Registered, ...]:
        """The metrics registered on a split."""
        return tuple(registered for registered in self.metrics if registered.split == split)

    def refuse_contradictions(self) -> None:
        """Raise `ConfigurationError` for a strategy that nothing follows, or that watches what is not measured."""
        if self.recorder is None and self.strategy is not DEFAULT:
            raise ConfigurationError(
                "A checkpointing strategy needs a checkpointer.",
                received=f"{self.strategy!r}, and nothing is saved",
                remedy="Add .with_file_checkpointer().",
            )
        for best in best_of(self.strategy):
            measured = [Loss.name, *(each.metric.name for each in self.of(Split(best.split)) if each.metric.numeric)]
            if best.metric not in measured:
                raise ConfigurationError(
                    "KeepBest watches a numeric metric that is registered on its split, or the loss.",
                    received=f"{best.metric!r} on {best.split}, where there are: {', '.join(dict.fromkeys(measured))}",
                    remedy=f"Register it with .metric_{best.split}_numeric(...).",
                )

    def describe_metrics(self) -> tuple[Mapping[str, Any], ...]:
        """What readers of metric files need to know of each metric, for `experiment.json`."""
        described: dict[str, dict[str, Any]] = {}
        for registered in self.metrics:
            info = registered.info()
            entry = described.setdefault(info.name, {**asdict(info), "plotted": False, "splits": []})
            entry["splits"].append(str(registered.split))
            entry["plotted"] = entry["plotted"] or info.plotted
        return tuple(described.values())

    def describe(self) -> dict[str, Any]:
        """As plain data, for `experiment.json`."""
        return {
            "directory": self.directory,
            "metrics": [
                {"split": str(registered.split), "metric": repr(registered.metric), "plotted": registered.plotted}
                for registered in self.metrics
            ],
            "loggers": None if self.loggers is None else [type(logger).__name__ for logger in self.loggers],
            "num_epochs": self.epochs,
            "grads_accumulation": self.accumulation,
            "recorder": None if self.recorder is None else type(self.recorder).__name__,
            "checkpointing_strategy": None if self.recorder is None else repr(self.strategy),
            "device": self.device,
        }
