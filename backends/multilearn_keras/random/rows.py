"""The rows of a draw that a process makes where several share a batch: exactly those that one alone would draw.

A draw's numbers depend on its key and on their positions alone, so a process begins at the position of its first row.
Which axis of a draw is the batch is not in its arguments: it is found from the shapes for 2 and for 3 items.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from multilearn.errors import ConfigurationError
from multilearn.protocols import Shard

__all__ = ["WHOLE_DRAW", "Axes", "DrawnPart", "begin_step", "own_rows", "part_of", "shared_now", "varying_axes"]

Axes = Sequence[tuple[int, int] | None]
"""For every array of numbers that a step draws, in their order: which axis is the batch, and how many rows of it an
item has; or None for one that is the same for all items."""


@dataclass(frozen=True)
class DrawnPart:
    """Where the numbers of a process begin in a draw; after every `run` of them, if there is one, `skipped` are other
    processes'. They are tensors in a step that is compiled for any number of items."""

    start: Any
    run: Any = None
    skipped: Any = 0


WHOLE_DRAW = DrawnPart(0)
"""A draw that is the same for all items, or for those of one process."""


@dataclass
class _Step:
    """The draws of the step that is being computed: which rows it has, or the shapes that are noted of them."""

    shard: Shard | None = None
    axes: Axes = ()
    noted: list[tuple[tuple[Any, ...], str]] | None = None
    asked: int = 0


_step = _Step()


def shared_now() -> Shard | None:
    """What this process has of the batch of the step that is being computed; None if that is all of it."""
    return _step.shard


@contextmanager
def own_rows(shard: Shard, axes: Axes) -> Iterator[None]:
    """While it lasts, a step is computed of these rows, and draws what is theirs."""
    global _step
    before, _step = _step, _Step() if shard.whole else _Step(shard, axes)
    try:
        yield
    finally:
        _step = before


def varying_axes(step: Callable[[int], Any]) -> Axes:
    """The batch axes of the draws of a step, from `step(2)` and `step(3)`, which take it with so many items.

    Raises `ConfigurationError` for a draw of which no axis is the batch.
    """
    two, three = _noted(step, 2), _noted(step, 3)
    if len(two) != len(three):
        raise ConfigurationError(
            "If several processes share a batch, a step makes the same draws for any number of items.",
            received=f"{len(two)} draws for 2 items, and {len(three)} for 3",
            remedy="Train on one device, or on several with JAX.",
        )
    return [_axis(few, more, by) for (few, by), (more, _) in zip(two, three, strict=True)]


def begin_step() -> None:
    """The draws that follow are those of a step, from the first one on."""
    _step.asked = 0


def part_of(shape: Sequence[Any]) -> DrawnPart | None:
    """Which numbers this process makes of those that a draw makes next, as an array of `shape`; None: from the first
    on. A draw may ask several times, and asks as often in every process."""
    if _step.noted is not None:
        _step.noted.append((tuple(shape), _drawn_by()))
        return WHOLE_DRAW
    shard = _step.shard
    if shard is None:
        return None
    found, _step.asked = _step.axes[_step.asked], _step.asked + 1
    if found is None:
        return WHOLE_DRAW
    axis, of_item = found
    inner = of_item * math.prod(shape[axis + 1 :])
    rows = shape[axis] // of_item
    if axis == 0:
        return DrawnPart(shard.first * inner)
    return DrawnPart(shard.first * inner, rows * inner, (shard.total - rows) * inner)


def _noted(step: Callable[[int], Any], items: int) -> list[tuple[tuple[Any, ...], str]]:
    global _step
    before, _step = _step, _Step(noted=[])
    try:
        step(items)
        return _step.noted or []
    finally:
        _step = before


def _axis(two: tuple[Any, ...], three: tuple[Any, ...], by: str) -> tuple[int, int] | None:
    varying = [axis for axis, (few, more) in enumerate(zip(two, three, strict=False)) if few != more]
    if not varying and len(two) == len(three):
        return None
    if len(varying) == 1 and two[varying[0]] * 3 == three[varying[0]] * 2:
        return varying[0], two[varying[0]] // 2
    raise ConfigurationError(
        "If several processes share a batch, one axis of every draw is that of the items.",
        received=f"a draw of {two} for 2 items and of {three} for 3, by {by}",
        remedy="Train on one device, or on several with JAX.",
    )


def _drawn_by() -> str:
    """The layer that is at work."""
    frame = sys._getframe(1)
    while frame is not None:
        if isinstance(layer := frame.f_locals.get("self"), keras.layers.Layer):
            return f"the {type(layer).__name__} {layer.name!r}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the task"
