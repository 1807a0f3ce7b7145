"""What each worker of a job does: it takes its place among the others, runs the work, and reports each epoch to Ray."""

from __future__ import annotations

import logging
import os
import runpy
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import ray
from ray.train import get_context, report
from ray.train.collective import broadcast_from_rank_zero

from multilearn.environment_variables import DEVICES, FIT, GRID, LEASH, TRACE
from multilearn.errors import DirectoryError
from multilearn.events import EpochEnded, Event, SplitEnded
from multilearn.launch.environments import free_port
from multilearn.loggers.logger import log_every_run
from multilearn.protocols import LaunchedRank
from multilearn.run.restart import Attempt

__all__ = ["FunctionWork", "RayJob", "ReportingLogger", "ScriptWork", "Work"]

_OF_OTHER_LAUNCHERS = (DEVICES, FIT, GRID, LEASH, TRACE, "TORCHELASTIC_USE_AGENT_STORE")


@dataclass(frozen=True)
class ScriptWork:
    """A script, as `python SCRIPT ARGUMENTS` runs it."""

    path: str
    arguments: tuple[str, ...] = ()

    def __call__(self) -> None:
        sys.argv = [self.path, *self.arguments]
        sys.path.insert(0, str(Path(self.path).parent))
        runpy.run_path(self.path, run_name="__main__")


@dataclass(frozen=True)
class FunctionWork:
    """A function, called with `config` if it takes an argument."""

    function: Callable[..., Any]
    config: Mapping[str, Any]

    def __call__(self) -> Any:
        return self.function(self.config) if signature(self.function).parameters else self.function()


Work = ScriptWork | FunctionWork


@dataclass(frozen=True)
class RayJob:
    """What all workers run, in `directory`. `name` is one that no other job has."""

    work: Work
    directory: str
    name: str

    def __call__(self) -> tuple[Any, Mapping[str, float] | None]:
        """What the work returns, and the values of the last epoch."""
        if not os.path.isdir(self.directory):
            raise DirectoryError(
                "All workers see the directory in which the job was started: relative paths begin there.",
                received=f"{self.directory}, which {ray.util.get_node_ip_address()} does not have",
                remedy="Start it in a directory on storage that all machines share.",
            )
        os.chdir(self.directory)
        for name in _OF_OTHER_LAUNCHERS:
            os.environ.pop(name, None)
        os.environ.update(_place(self.name))
        # Ray shows what any logger says from INFO on, and a renderer has said that
        logging.getLogger("multilearn").setLevel(logging.WARNING)
        log_every_run(logger := ReportingLogger())
        try:
            return self.work(), logger.last
        except SystemExit as end:
            if end.code:
                raise
            return None, logger.last


def _place(job: str) -> dict[str, str]:
    """The variables that a launcher would set."""
    context, meeting = get_context(), None
    if context.get_world_rank() == 0:
        address = ray.util.get_node_ip_address()
        meeting = address, free_port(""), secrets.token_hex(4)
    address, port, attempt = broadcast_from_rank_zero(meeting)
    place = LaunchedRank(
        context.get_world_rank(),
        context.get_world_size(),
        context.get_local_rank(),
        context.get_local_world_size(),
        address,
        port,
    )
    return {**place.environment(), **Attempt(job, attempt).environment()}


@dataclass
class ReportingLogger:
    """Reports the epoch and its numeric values, such as `valid/Accuracy`, to Ray Train: on every worker, for Ray waits
    for all of them."""

    last: Mapping[str, float] | None = None
    _values: dict[str, float] = field(default_factory=dict)

    def log(self, event: Event) -> None:
        match event:
            case SplitEnded():
                numbers = {name: each.value for name, each in event.readings.items() if isinstance(each.value, float)}
                self._values |= {f"{event.split}/{name}": value for name, value in numbers.items()}
            case EpochEnded():
                self.last, self._values = {"epoch": event.epoch, **self._values}, {}
                report(dict(self.last))
            case _:
                pass

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
