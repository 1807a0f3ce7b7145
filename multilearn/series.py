"""The values of one metric over the epochs: never changed, and made longer at a cost that does not grow with them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

__all__ = ["Series"]

_State = TypeVar("_State")


@dataclass
class _Shared:
    """What a series has in common with those that were made of it: it only grows, and each knows its own length."""

    epochs: list[int]
    values: list[float]
    folds: dict[Hashable, tuple[int, Any]] = field(default_factory=dict)


class Series(Mapping[int, float]):
    """Epoch -> value, in the order of the epochs.

    >>> one = Series({1: 0.5})
    >>> two = one.with_value(2, 0.25)
    >>> one, two
    (Series({1: 0.5}), Series({1: 0.5, 2: 0.25}))
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, values: Mapping[int, float] | None = None) -> None:
        ordered = sorted((values or {}).items())
        self._shared = _Shared([epoch for epoch, _ in ordered], [value for _, value in ordered])
        self._length = len(ordered)

    def with_value(self, epoch: int, value: float) -> Series:
        """This series with one more epoch, or another value of one that it has."""
        epochs, values = self._shared.epochs, self._shared.values
        if self._length < len(epochs) or (epochs and epochs[-1] >= epoch):
            return Series({**self, epoch: value})
        epochs.append(epoch)
        values.append(value)
        longer = Series.__new__(Series)
        longer._shared, longer._length = self._shared, self._length + 1
        return longer

    def fold(
        self, key: Hashable, step: Callable[[_State, int, float], _State], initial: _State, until: float = math.inf
    ) -> _State:
        """`step(state, epoch, value)` over the epochs up to `until`, in their order, beginning with `initial`.

        What was folded under the same `key` before goes on from there: so `key` says all that `step` and `initial`
        depend on, and a state is a value that nothing changes.

        >>> Series({1: 2.0, 2: 3.0}).fold("sum", lambda total, epoch, value: total + value, 0.0)
        5.0
        """
        shared = self._shared
        end = bisect_right(shared.epochs, until, 0, self._length)
        done, state = cast(tuple[int, _State], shared.folds.get(key, (0, initial)))
        if done > end:
            done, state = 0, initial
        for at in range(done, end):
            state = step(state, shared.epochs[at], shared.values[at])
        shared.folds[key] = end, state
        return state

    def __getitem__(self, epoch: int) -> float:
        at = bisect_left(self._shared.epochs, epoch, 0, self._length)
        if at == self._length or self._shared.epochs[at] != epoch:
            raise KeyError(epoch)
        return self._shared.values[at]

    def __iter__(self) -> Iterator[int]:
        return islice(self._shared.epochs, self._length)

    def __len__(self) -> int:
        return self._length

    def items(self) -> ItemsView[int, float]:
        return _Items(self)

    def values(self) -> ValuesView[float]:
        return _Values(self)

    def __repr__(self) -> str:
        return f"Series({dict(self)!r})"

    def _values(self) -> Iterator[float]:
        return islice(self._shared.values, self._length)


class _Values(ValuesView[float]):
    """Read off one after the other, without looking up each epoch."""

    _mapping: Series

    def __iter__(self) -> Iterator[float]:
        return self._mapping._values()


class _Items(ItemsView[int, float]):
    """Read off one after the other, without looking up each epoch."""

    _mapping: Series

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self._mapping, self._mapping._values(), strict=True)
