"""Epoch values: what strategies, early stopping and summaries decide and report from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from multilearn.errors import ConfigurationError
from multilearn.events import Split
from multilearn.series import Series

__all__ = ["Direction", "History", "Monitor"]

Direction = Literal["lowest", "highest"]


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

    def to_state(self) -> dict[str, dict[str, list[list[float]]]]:
        """As plain lists."""
        return {
            str(split): {name: [[epoch, value] for epoch, value in epochs.items()] for name, epochs in metrics.items()}
            for split, metrics in self._values.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, Iterable[Iterable[float]]]]) -> History:
        """The history that `to_state` returned."""
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
        if self.split not in list(Split):
            raise ConfigurationError(
                f"The split of a metric that is watched is one of {', '.join(Split)}.",
                received=repr(self.split),
                remedy='Write split="valid".',
            )
        if self.direction not in get_args(Direction):
            raise ConfigurationError(
                'The direction of a metric that is watched is "lowest" or "highest".',
                received=repr(self.direction),
                remedy='Losses are best when "lowest", accuracies when "highest".',
            )

    def best(self, history: History, among: Iterable[int] | None = None) -> int | None:
        """The epoch with the best value: the earliest on ties, never one whose value is NaN, None if there is none."""
        values = history.values(self.split, self.metric)
        sign = 1.0 if self.direction == "lowest" else -1.0

        def better(best: tuple[float, int] | None, epoch: int, value: float) -> tuple[float, int] | None:
            if math.isnan(value) or (best is not None and best <= (sign * value, epoch)):
                return best
            return sign * value, epoch

        if among is None:
            best = values.fold((Monitor, sign), better, None)
        else:
            best = None
            for epoch in among:
                if epoch in values:
                    best = better(best, epoch, values[epoch])
        return None if best is None else best[1]
