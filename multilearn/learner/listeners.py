"""What receives the events of a run: its loggers, its renderer, experiment.log, and functions after each epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from multilearn.arguments import settle
from multilearn.errors import ConfigurationError
from multilearn.events import Attached, EpochEnded, Event, Finished, Position, Saved, SplitEnded
from multilearn.loggers import MetricLogger
from multilearn.loggers.logger import of_every_run
from multilearn.plots.png import png_of
from multilearn.printable import printable
from multilearn.protocols import UNAVAILABLE
from multilearn.renderers import Renderer
from multilearn.run.experiment import in_words
from multilearn.seeding.streams import kept_globals
from multilearn.storage.layout import file_name

__all__ = ["AfterEpoch", "EpochListener", "EpochReport", "Listeners"]

_log = logging.getLogger("multilearn")


@dataclass(frozen=True)
class Listeners:
    """They receive events in this order: the loggers, those of every run in this process, the renderer last. Before
    they know that an epoch has ended, `after_epoch` is called. What one of them raises stops the run."""

    loggers: tuple[MetricLogger, ...]
    renderer: Renderer
    after_epoch: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        settle(self, loggers=(*self.loggers, *of_every_run()))

    def tell(self, event: Event) -> None:
        if isinstance(event, EpochEnded) and self.after_epoch is not None:
            self.after_epoch(event.epoch)
        for logger in self.loggers:
            logger.log(event)
        self.renderer.render(event)
        if isinstance(event, SplitEnded) and event.readings:
            _log.info("Epoch %s, %s: %s.", event.epoch, event.split, _values(event))
        elif isinstance(event, EpochEnded):
            _log.info("Epoch %s is done.", event.epoch)
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


def _values(ended: SplitEnded) -> str:
    """The numbers of an epoch, in six digits; a text by its first words."""
    values = ((name, reading.value) for name, reading in ended.readings.items() if reading.value != UNAVAILABLE)
    return ", ".join(
        f"{printable(name)} {printable(value[:_SHOWN]) if isinstance(value, str) else format(value, '.6g')}"
        for name, value in values
    )


_LONGEST, _SHOWN = 200, 40
_History = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class EpochReport:
    """An epoch that is done: `epoch` counts from 1; `history` is that of the learner, up to this epoch.

    `model` is the model as it is trained so far: call it with `training=False`, or use `ml.predict` and Keras' own
    `predict`. Random streams are as they were afterwards, so that the run is the same without the function.
    """

    epoch: int
    history: _History
    model: Any
    _log: Callable[[Attached], None]

    def log_text(self, name: str, text: str) -> None:
        """Keep a text of this epoch: in `attachments/epoch-<n>/<name>.txt`, on screens, in reports and trackers."""
        if not isinstance(text, str):
            raise ConfigurationError("A text that is logged is a str.", received=repr(text)[:80])
        self._log(Attached(self.epoch, _named(name), text=text))

    def log_image(self, name: str, image: Any) -> None:
        """Keep an image of this epoch, in `attachments/epoch-<n>/<name>.png` and wherever texts are shown.

        `image`: an array, (height, width) or (height, width, channels) with 1 to 4 channels, of uint8, or of floats
        from 0 to 1; the bytes of a PNG file; or a figure of matplotlib's.
        """
        self._log(Attached(self.epoch, _named(name), image=png_of(image)))


EpochListener = Callable[[EpochReport], object]
"""What `LearnerBuilder.on_epoch` takes: its result is ignored, and what it raises stops the run."""


@dataclass(frozen=True)
class AfterEpoch:
    """Calls each of the functions with a report of the epoch, in their order. `keep` takes what they log."""

    functions: tuple[EpochListener, ...]
    model: Any
    history: Callable[[], _History]
    streams_kept: Callable[[], AbstractContextManager[None]]
    keep: Callable[[Attached], None]

    def __call__(self, epoch: int) -> None:
        with kept_globals(), self.streams_kept():
            for function in self.functions:
                function(EpochReport(epoch, self.history(), self.model, self.keep))


def _named(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or len(file_name(name)) > _LONGEST:
        rule = f"The name of what is logged is a text, which takes at most {_LONGEST} bytes as the name of a file."
        raise ConfigurationError(rule, received=repr(name)[:80])
    return name
