"""What every peer of a step gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Steps"]


def nothing() -> None:
    """There is nothing to leave."""


@dataclass(frozen=True)
class Steps:
    """`step(number)`: train on a batch. `wait()`: until it is computed. `add_up()`: a sum over the processes alone."""

    step: Callable[[int], None]
    wait: Callable[[], None]
    add_up: Callable[[], None] | None = None
    end: Callable[[], None] = nothing
