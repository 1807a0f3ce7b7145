"""Epoch values: what strategies, early stopping and summaries decide and report from."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast, get_args, runtime_checkable

from multilearn.arguments import choice, settle
from multilearn.errors import ConfigurationError
from multilearn.events import Direction, Split

__all__ = ["Direction", "History", "Monitor", "Series", "Watcher", "Watching", "watched_by"]

Floats = tuple[float, ...]


@dataclass(frozen=True)
class History:
    """The exact value of every numeric metric after every finished epoch, by split, metric and epoch."""

    _values: Mapping[Split, Mapping[str, Series]] = field(default_factory=dict)

    def values(self, split: Split | str, metric: str) -> Series:
        """Epoch -> value, in the order of the epochs; empty if there is no such metric."""
        return self._values.get(Split(split), {}).get(metric, Series())

    def with_epoch(self, split: Split, epoch: int, values: Mapping[str, float]) -> History:
        """This history and the values of one more epoch, in a time that does not depend on how many there are."""
        of_split = dict(self._values.get(split, {}))
        for name, value in values.items():
            of_split[name] = of_split.get(name, Series()).with_value(epoch, value)
        return History({**self._values, split: of_split})

    def table(self) -> Mapping[Split, Mapping[str, Mapping[int, float]]]:
        """All of it, read-only at every depth."""
        return MappingProxyType({split: MappingProxyType(metrics) for split, metrics in self._values.items()})

    def from_first_epoch(self, without_values: Mapping[Split, Iterable[str]]) -> Mapping[str, Mapping[str, Floats]]:
        """The values of all epochs, from epoch 1 to the last with any value, by split and metric; NaN for one without.

        `without_values`: the metrics of splits that are there in any case.
        """
        found: dict[str, Mapping[str, Floats]] = {}
        all_series = (series for metrics in self._values.values() for series in metrics.values())
        last = max((max(series, default=0) for series in all_series), default=0)
        for split in Split:
            values = self._values.get(split) or dict.fromkeys(without_values.get(split, ()), Series())
            if split in self._values or split in without_values:
                found[str(split)] = MappingProxyType({name: series.from_first(last) for name, series in values.items()})
        return MappingProxyType(found)

    def state(self) -> dict[str, dict[str, list[list[float]]]]:
        """As plain lists."""
        return {
            str(split): {name: [[epoch, series[epoch]] for epoch in series] for name, series in metrics.items()}
            for split, metrics in self._values.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, Iterable[Iterable[float]]]]) -> History:
        """Of plain lists, `{"valid": {"Loss": [[1, 0.5], [2, 0.25]]}}`."""
        return cls(
            {
                Split(split): {name: Series({int(e): float(v) for e, v in pairs}) for name, pairs in metrics.items()}
                for split, metrics in state.items()
            }
        )


@dataclass(frozen=True)
class Monitor:
    """Which epoch value is watched, and which way is better."""

    metric: str = "Loss"
    split: Split | str = Split.VALID
    direction: Direction = "lowest"

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise ConfigurationError(
                "A metric is watched by its name.", received=repr(self.metric), remedy='Write for instance "Accuracy".'
            )
        rule = f"The split of a metric that is watched is one of {', '.join(Split)}"
        choice(rule, self.split, tuple(Split), 'Write split="valid".')
        rule = 'The direction of a metric that is watched is "lowest" or "highest"'
        remedy = 'Losses are best when "lowest", accuracies when "highest".'
        choice(rule, self.direction, get_args(Direction), remedy)

    @property
    def sign(self) -> float:
        """What a value is multiplied by to be the better the lower it is."""
        return 1.0 if self.direction == "lowest" else -1.0

    def values(self, history: History) -> Series:
        """Epoch -> value, of the metric that is watched."""
        return history.values(self.split, self.metric)

    def best(self, history: History, among: Iterable[int] | None = None) -> int | None:
        """The epoch with the best value: the earliest on ties, never one whose value is NaN, None if there is none."""
        values, sign = self.values(history), self.sign

        def better(best: tuple[float, int] | None, epoch: int, value: float) -> tuple[float, int] | None:
            if math.isnan(value) or (best is not None and best <= (sign * value, epoch)):
                return best
            return sign * value, epoch

        if among is not None:
            values = Series({epoch: values[epoch] for epoch in among if epoch in values})
        best = values.fold((Monitor, sign), better, None)
        return None if best is None else best[1]


@runtime_checkable
class Watching(Protocol):
    """What a stopping rule, a schedule or a checkpoint strategy may offer: then it is checked before the run that these
    metrics are measured. One that consists of others passes on what they watch."""

    def watched(self) -> Iterable[Monitor]:
        """The metrics that it looks at. Of a strategy: those of which it keeps the best epoch."""
        ...


def watched_by(thing: object) -> Iterator[Monitor]:
    """Every metric that a rule, a schedule or a strategy says it watches, with its split and direction."""
    if isinstance(thing, Watching):
        yield from thing.watched()


class Watcher:
    """A frozen dataclass that watches one metric, by its fields; `monitor` has them as one value."""

    metric: str
    split: str
    direction: Direction

    def __post_init__(self) -> None:
        settle(self, split=str(self.monitor.split))

    @property
    def monitor(self) -> Monitor:
        return Monitor(self.metric, self.split, self.direction)

    def watched(self) -> Iterator[Monitor]:
        yield self.monitor


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

        What was folded under the same `key` before is continued: so `key` says all that `step` and `initial`
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

    def from_first(self, last: int) -> Floats:
        """The values of all epochs, from epoch 1 to the last; NaN for one without a value."""
        return tuple(self.get(epoch, math.nan) for epoch in range(1, last + 1))

    def __getitem__(self, epoch: int) -> float:
        at = bisect_left(self._shared.epochs, epoch, 0, self._length)
        if at == self._length or self._shared.epochs[at] != epoch:
            raise KeyError(epoch)
        return self._shared.values[at]

    def __iter__(self) -> Iterator[int]:
        return islice(self._shared.epochs, self._length)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"Series({dict(self)!r})"
