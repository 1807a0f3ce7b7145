"""What a renderer is: it shows a run to a person while it goes on. And the one that shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from multilearn.events import Event

__all__ = ["Renderer", "SilentRenderer"]

T = TypeVar("T")


@runtime_checkable
class Renderer(Protocol):
    """Shows what happens. It sees every event of a run, `Started` first; what it raises stops the run."""

    def host(self, fit: Callable[[], T]) -> T:
        """Run `fit` and return its result; a plain renderer says `return fit()`.

        One that must own the main thread runs itself there and `fit` beside it.
        """
        ...

    def render(self, event: Event) -> None:
        """Take one event. Called on the thread that trains, so it should not take long."""
        ...

    def close(self) -> None:
        """Give the screen back, however the run ended: called at least once, more often without harm."""
        ...


class SilentRenderer:
    """Shows nothing at all."""

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
