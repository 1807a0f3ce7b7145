"""Stop where the training is good enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from multilearn.errors import ConfigurationError
from multilearn.history import Direction, History, Monitor
from multilearn.plain import real

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """Stop once the exact epoch value of a metric is as low, or as high, as `value`, which must be given.

    With `direction="lowest"` that is at most `value`, with `"highest"` at least. NaN reaches nothing. Shares are
    fractions: 0.98, and not 98 per cent.

    >>> past = History.from_state({"valid": {"Accuracy": [(1, 0.96), (2, 0.98)]}})
    >>> Threshold("Accuracy", direction="highest", value=0.98).reason(past, 2, 0.0)
    'Accuracy (valid) reached 0.98 in epoch 2, the threshold is 0.98'
    """

    metric: str = "Loss"
    split: str = "valid"
    direction: Direction = "lowest"
    value: float = math.nan

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", str(Monitor(self.metric, self.split, self.direction).split))
        value = real(self.value)
        if not math.isfinite(value):
            raise ConfigurationError(
                "The value of a Threshold must be a finite number.",
                received=repr(self.value),
                remedy='Write for instance Threshold("Accuracy", direction="highest", value=0.98).',
            )
        object.__setattr__(self, "value", value)

    def reason(self, history: History, epoch: int, elapsed: float) -> str | None:
        values = history.values(self.split, self.metric)

        def first(reached: int | None, each: int, value: float) -> int | None:
            reaches = value <= self.value if self.direction == "lowest" else value >= self.value
            return each if reached is None and reaches else reached

        reached = values.fold((type(self), self.direction, self.value), first, None, epoch)
        if reached is None:
            return None
        found = f"{self.metric} ({self.split}) reached {values[reached]:.6g} in epoch {reached}"
        return f"{found}, the threshold is {self.value:.6g}"
