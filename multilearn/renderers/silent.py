"""A renderer that shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from multilearn.events import Event

__all__ = ["SilentRenderer"]

T = TypeVar("T")


class SilentRenderer:
    """Shows nothing at all."""

    def host(self, fit: Callable[[], T]) -> T:
        return fit()

    def render(self, event: Event) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
