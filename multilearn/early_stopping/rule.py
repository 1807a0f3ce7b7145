"""What a stopping rule is asked."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from multilearn.history import History

__all__ = ["StoppingRule"]


@runtime_checkable
class StoppingRule(Protocol):
    """Asked after the validation of every epoch."""

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        """Why training should end after `epoch`, or None to go on.

        `history` holds the exact values of epochs 1 to `epoch`; `elapsed` is the time spent in `fit`, in seconds, over
        all sessions of the run. It must depend on nothing else: so a resumed run decides as an uninterrupted one.
        """
        ...
