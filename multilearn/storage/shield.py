"""Short work that a signal does not leave half done."""

from __future__ import annotations

import signal
import threading
from typing import Final, NoReturn

__all__ = ["SHIELD", "Shield", "end_with"]


class Shield:
    """`with SHIELD:` is a short piece of work that is not left half done: a signal raises after it, and not within.

    The start of a thread for instance: one that is interrupted between its start and being known would never be ended.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._held: int | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._depth -= 1
            if not self._depth and self._held is not None:
                number, self._held = self._held, None
                end_with(number)

    def let(self, number: int) -> None:
        """Raise what this signal stands for, now or after the work."""
        if not self._depth:
            end_with(number)
        self._held = number


SHIELD: Final = Shield()


def end_with(number: int) -> NoReturn:
    """Raise what a signal stands for: `KeyboardInterrupt` for SIGINT, else `SystemExit` with its exit code."""
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
