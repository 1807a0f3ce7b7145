"""A place in a run: after an epoch, or after some batches of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from multilearn.errors import ConfigurationError

__all__ = ["START", "Position"]

_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,17})(?:\.([1-9][0-9]{0,17}))?", re.ASCII)


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

    def __le__(self, other: Position) -> bool:
        return self._order() <= other._order()

    def __gt__(self, other: Position) -> bool:
        return self._order() > other._order()

    def __ge__(self, other: Position) -> bool:
        return self._order() >= other._order()

    def _order(self) -> tuple[int, float]:
        return self.epoch, float("inf") if self.batch is None else self.batch


START = Position(0)
