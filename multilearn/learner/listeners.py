"""What receives the events of a run: its loggers, its renderer, and experiment.log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from multilearn.arguments import settle
from multilearn.events import EpochEnded, Event, Finished, Position, Saved
from multilearn.loggers import MetricLogger
from multilearn.loggers.logger import of_every_run
from multilearn.renderers import Renderer
from multilearn.run.experiment import in_words

__all__ = ["Listeners"]

_log = logging.getLogger("multilearn")


@dataclass(frozen=True)
class Listeners:
    """They receive events in this order: the loggers, those of every run in this process, the renderer last; then
    `after_epoch` is called. What one of them raises stops the run."""

    loggers: tuple[MetricLogger, ...]
    renderer: Renderer
    after_epoch: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        settle(self, loggers=(*self.loggers, *of_every_run()))

    def tell(self, event: Event) -> None:
        for logger in self.loggers:
            logger.log(event)
        self.renderer.render(event)
        if isinstance(event, EpochEnded):
            _log.info("Epoch %s is done.", event.epoch)
            if self.after_epoch is not None:
                self.after_epoch(event.epoch)
        elif isinstance(event, Saved):
            _log.info("Checkpoint %s is saved.", event.position)

    def flush(self) -> None:
        """Have the loggers make durable what they have received."""
        for logger in self.loggers:
            logger.flush()

    def failed(self, position: Position, error: BaseException) -> None:
        """Tell every one of them, also where one of them is what failed."""
        for tell in (*(logger.log for logger in self.loggers), self.renderer.render):
            with suppress(Exception):
                tell(Finished(position, error=in_words(error)))

    def close(self) -> None:
        """Close every one of them, the last logger first, whatever any of them raises."""
        with ExitStack() as open_ones:
            open_ones.callback(self.renderer.close)
            for logger in self.loggers:
                open_ones.callback(logger.close)
