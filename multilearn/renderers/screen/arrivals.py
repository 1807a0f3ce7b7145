"""Events of several runs, read on threads of their own, so that the screen never waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from multilearn.errors import MultilearnError
from multilearn.events import Event

__all__ = ["Arrivals"]

_AT_ONCE = 20_000  # events that are taken together: a long run is shown while it is read
_PAUSE = 0.1


class Arrivals:
    """What comes of each of `sources`, by its number. `ended`: those of which nothing more arrives, and what was wrong
    with one that cannot be read."""

    def __init__(self, sources: Sequence[Iterable[Event]]) -> None:
        self.ended: dict[int, str | None] = {}
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Event]] = []
        for number, events in enumerate(sources):
            arguments = (number, events)
            threading.Thread(target=self._read, args=arguments, daemon=True, name=f"events-{number}").start()

    def take(self) -> list[tuple[int, Event]]:
        """The next ones."""
        with self._lock:
            taken, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        return taken

    def all_taken(self, number: int) -> bool:
        """Whether nothing more comes of that source."""
        return number in self.ended and not self._waiting

    def _read(self, number: int, events: Iterable[Event]) -> None:
        problem = None
        try:
            for event in events:
                with self._lock:
                    self._waiting.append((number, event))
                while len(self._waiting) > 2 * _AT_ONCE:
                    time.sleep(_PAUSE)
        except (MultilearnError, OSError, ValueError) as error:
            problem = str(error)
        finally:
            self.ended[number] = problem
