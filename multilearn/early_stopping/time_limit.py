"""Stop when the time is over."""

from __future__ import annotations

import math
from dataclasses import dataclass

from multilearn.errors import ConfigurationError
from multilearn.history import History
from multilearn.plain import real

__all__ = ["TimeLimit"]


@dataclass(frozen=True)
class TimeLimit:
    """Stop when the run has taken this long, in `fit`, over all its sessions: hours, minutes and seconds add up.

    It may end a run in the middle of an epoch, where its place is saved if there is a checkpointer.

    >>> TimeLimit(hours=1, minutes=30).total
    5400.0
    >>> TimeLimit(minutes=1).reason(History(), 3, elapsed=61.5)
    'the time limit of 60 s is over: the run took 61.5 s'
    """

    seconds: float = 0.0
    minutes: float = 0.0
    hours: float = 0.0

    def __post_init__(self) -> None:
        parts = {name: real(getattr(self, name)) for name in ("seconds", "minutes", "hours")}
        if not all(0 <= part < math.inf for part in parts.values()) or not any(parts.values()):
            raise ConfigurationError(
                "A TimeLimit is a finite time of more than 0 seconds.",
                received=repr(self),
                remedy="Write for instance TimeLimit(hours=1, minutes=30).",
            )
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    @property
    def total(self) -> float:
        """The limit in seconds."""
        return self.seconds + 60 * self.minutes + 3600 * self.hours

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        if elapsed < self.total:
            return None
        return f"the time limit of {self.total:g} s is over: the run took {elapsed:.1f} s"
