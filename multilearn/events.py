"""What the loop says while it runs: small frozen facts that hold host values only.

They flow one way, in the order in which things happened, from the learner through the metric store to the
loggers and the renderer, and get no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import total_ordering
from pathlib import Path
from typing import Literal, NamedTuple

from multilearn.errors import ConfigurationError

__all__ = [
    "START",
    "Attached",
    "Direction",
    "EpochEnded",
    "Evaluating",
    "Event",
    "Finished",
    "MetricInfo",
    "Position",
    "Reading",
    "Saved",
    "Split",
    "SplitEnded",
    "Started",
    "Stepped",
    "is_validated",
]


class Split(StrEnum):
    """Which part of the data a fact is about."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


Direction = Literal["lowest", "highest"]
"""Which value of a metric is the best."""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a listener needs to know of a metric: its name, its unit, and how it is to be shown.

    `unit` is `"share"` for a fraction (shown in per cent), `"matrix"` for a text that is a matrix of counts, else what
    is written behind a number, or `""`. `better`: which of its values is the best, None if that is not known.
    """

    name: str
    unit: str = ""
    numeric: bool = True
    plotted: bool = False
    better: Direction | None = None


class Reading(NamedTuple):
    """One metric at one moment.

    `value` is that of the batch (of the whole epoch, exactly, in `SplitEnded`), `count` what it is a mean over
    (None if it is no mean), `running` the exact value over the epoch so far, `""` where that would be costly.
    A text metric has strings.
    """

    value: float | str
    count: int | float | None = None  # type: ignore[assignment]  # in place of the method of a tuple
    running: float | str = ""


def is_validated(epoch: int, every: int, epochs: int) -> bool:
    """Whether validation follows an epoch of a run that has so many: every `every`-th, and the last one."""
    return epoch % every == 0 or epoch == epochs


@dataclass(frozen=True, slots=True)
class Started:
    """`fit` begins, or resumes from `position`, after `update` updates. `batches` is None if a loader does not know its
    length; every `validate_every`-th epoch is validated, and the last one."""

    directory: Path
    epochs: int
    position: Position
    batches: Mapping[Split, int | None]
    metrics: Mapping[Split, tuple[MetricInfo, ...]]
    history: Mapping[Split, Mapping[str, Mapping[int, float]]]
    """Epoch values of the finished epochs, by split, metric and epoch."""
    update: int = 0
    validate_every: int = 1

    def validates(self, epoch: int) -> bool:
        """Whether validation follows this epoch, if there is data for it."""
        return is_validated(epoch, self.validate_every, self.epochs)

    def passes(self, split: Split, epoch: int) -> int:
        """How many of the epochs up to this one have the split."""
        every = self.validate_every if split is Split.VALID else 1
        return epoch // every + (epoch == self.epochs and epoch % every > 0)


@dataclass(frozen=True, slots=True)
class Evaluating:
    """An evaluation called `name` begins: what follows is on the split `test`, in epoch 1, up to `Finished`.

    `checkpoint`: where the weights are from, None for those of the model in memory. `batches` is None if the loader
    does not know its length.
    """

    directory: Path
    name: str
    checkpoint: Position | None
    batches: int | None
    metrics: tuple[MetricInfo, ...]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One batch of `items` items is done. `batch` counts from 1; `update` is the number of optimizer updates so far."""

    split: Split
    epoch: int
    batch: int
    update: int
    learning_rate: float | None
    readings: Mapping[str, Reading]
    items: int | None = None


@dataclass(frozen=True, slots=True)
class SplitEnded:
    """All batches of a split are done: the readings are the exact epoch values. `update`: the updates so far, with the
    one by what was left of an accumulation window."""

    split: Split
    epoch: int
    readings: Mapping[str, Reading]
    update: int = 0


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """Training and validation of an epoch are done."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Attached:
    """After `epoch` a text, or an image (the bytes of a PNG file), was logged under `name`: the other one is None."""

    epoch: int
    name: str
    text: str | None = None
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on disk, durably: sent between two batches, and at the end of the run, never before it is."""

    position: Position


@dataclass(frozen=True, slots=True)
class Finished:
    """`fit`, or an evaluation, ends: completed (both None), stopped early for `reason`, or failed with `error`.

    `restored`: the epoch whose weights are returned, None if those are the last ones; `skipped`: how many training
    batches of the run were left out because their loss was not finite; `by_rule`: whether the reason is that of a
    stopping rule, which would stop a run that is resumed from here, too; `summary`: whether a summary is printed next.
    """

    position: Position
    reason: str | None = None
    error: str | None = None
    restored: int | None = None
    skipped: int = 0
    by_rule: bool = False
    summary: bool = False


Event = Started | Evaluating | Stepped | SplitEnded | EpochEnded | Attached | Saved | Finished


_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([1-9][0-9]{0,17}))?", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Position:
    """What has been done: all of `epoch` (0: nothing yet), or the first `batch` batches of its training.

    Positions are ordered as they are passed: `3.120 < 3.400 < 3 < 4.1`. Written `"3"` and `"3.120"`,
    in the names of checkpoint files and in `.checkpoint("3.120")`.
    """

    epoch: int
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.epoch < 0 or (self.batch is not None and self.batch < 1):
            raise ConfigurationError(
                "Epochs and the batches of one are counted from 1, and epoch 0 is the beginning of a run.",
                received=f"epoch {self.epoch}" + ("" if self.batch is None else f", batch {self.batch}"),
                remedy="Write Position(3), or Position(3, 120) for 120 batches into epoch 3.",
            )

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position written as `text`. Raises `ConfigurationError` if it is not one."""
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ConfigurationError(
                "A checkpoint is named by its epoch, or by epoch and batches done.",
                received=repr(text),
                remedy='Write 3 or "3" for the end of epoch 3, "3.120" for 120 batches into it.',
            )
        epoch, batch = written.groups()
        return cls(int(epoch), int(batch) if batch else None)

    @property
    def finished_epochs(self) -> int:
        """How many epochs are complete here."""
        return self.epoch if self.batch is None else self.epoch - 1

    def __str__(self) -> str:
        return str(self.epoch) if self.batch is None else f"{self.epoch}.{self.batch}"

    def __lt__(self, other: Position) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[int, float]:
        return self.epoch, float("inf") if self.batch is None else self.batch


START = Position(0)
