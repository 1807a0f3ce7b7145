"""Which checkpoints to keep: pure functions of what is on disk and of the recorded history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, runtime_checkable

from multilearn.arguments import settle, whole
from multilearn.errors import ConfigurationError
from multilearn.history import Direction, History, Monitor, Watcher, watched_by

__all__ = ["DEFAULT", "AnyOf", "CheckpointStrategy", "KeepBest", "KeepEvery", "KeepLast"]

_NONE = "To keep no checkpoint, use no checkpointer."


@runtime_checkable
class CheckpointStrategy(Protocol):
    """Decides after every epoch."""

    def keep(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        """Those of `epochs` to keep: the ones on disk, and the newest, which is written only if it is kept."""
        ...


@dataclass(frozen=True)
class KeepLast:
    """The last `n` epochs.

    >>> sorted(KeepLast(2).keep([1, 2, 3], History()))
    [2, 3]
    """

    n: int = 1

    def __post_init__(self) -> None:
        settle(self, n=whole("The n of KeepLast", self.n, 1, _NONE))

    def keep(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        return frozenset(sorted(set(epochs))[-self.n :])


@dataclass(frozen=True)
class KeepEvery:
    """Every `n`-th epoch, for good: n, 2n, 3n, ...

    >>> sorted(KeepEvery(10).keep([10, 20, 23, 24], History()))
    [10, 20]
    """

    n: int

    def __post_init__(self) -> None:
        settle(self, n=whole("The n of KeepEvery", self.n, 1, _NONE))

    def keep(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        return frozenset(epoch for epoch in epochs if epoch % self.n == 0)


@dataclass(frozen=True)
class KeepBest(Watcher):
    """The `k` best epochs by the exact epoch value of a metric; `direction` says whether lower or higher is better.

    Of equal values the earlier epoch is better. An epoch without a value, or with NaN, is never kept by this.
    """

    metric: str = "Loss"
    split: str = "valid"
    direction: Direction = "lowest"
    k: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, k=whole("The k of KeepBest", self.k, 1, _NONE))

    def keep(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        kept: set[int] = set()
        while len(kept) < self.k:
            best = self.monitor.best(history, among=[epoch for epoch in epochs if epoch not in kept])
            if best is None:
                break
            kept.add(best)
        return frozenset(kept)


@dataclass(frozen=True, init=False, repr=False)
class AnyOf:
    """What any of several strategies keeps.

    >>> sorted(AnyOf(KeepLast(1), KeepLast(2)).keep([1, 2, 3], History()))
    [2, 3]
    """

    strategies: tuple[CheckpointStrategy, ...]

    def __init__(self, *strategies: CheckpointStrategy) -> None:
        fit = [isinstance(each, CheckpointStrategy) and not isinstance(each, type) for each in strategies]
        if not fit or not all(fit):
            raise ConfigurationError(
                "AnyOf combines strategies, at least one.",
                received=", ".join(map(repr, strategies)) or "none",
                remedy="Write AnyOf(KeepLast(2), KeepBest()).",
            )
        settle(self, strategies=strategies)

    def __repr__(self) -> str:
        return f"AnyOf({', '.join(map(repr, self.strategies))})"

    def keep(self, epochs: Sequence[int], history: History) -> frozenset[int]:
        return frozenset().union(*(each.keep(epochs, history) for each in self.strategies))

    def watched(self) -> Iterator[Monitor]:
        return chain.from_iterable(map(watched_by, self.strategies))


DEFAULT = AnyOf(KeepLast(2), KeepBest())
"""The last two, and the best by validation loss."""
