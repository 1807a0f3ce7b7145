"""Lower where the training does not get better."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from multilearn.arguments import not_negative, settle
from multilearn.errors import RecordError
from multilearn.history import Direction, History, Watcher
from multilearn.protocols import Record
from multilearn.schedulers.arguments import check, epochs, not_above, rate, share

__all__ = ["ReduceOnPlateau"]

_MOST = 1_000_000  # the rate is a product of so many factors: a damaged record would take all memory
_Plateau = tuple[int, float, int, int]
"""Reductions so far, the best value, epochs without a better one, epochs that do not count yet."""


@dataclass(frozen=True)
class ReduceOnPlateau(Watcher):
    """Begins at `initial`; multiplied by `factor` when a metric has not improved for more than `patience` epochs.

    lr = max(initial * factor ** k, minimum), where k is the number of such reductions so far

    An improvement is an exact epoch value lower (or higher, as `direction` says) than that of the last improvement by
    more than `min_delta`; NaN never is one. After a reduction the count of epochs without improvement starts again
    from 0, and the next `cooldown` epochs do not count. With `patience=2` the third epoch in a row without improvement
    reduces the rate, for the epoch after it.
    (As torch's `ReduceLROnPlateau(threshold_mode="abs", eps=0)`. Keras' reduces one epoch earlier, and the last epoch
    of its `cooldown` counts: its `patience` and `cooldown` are larger by 1. Its `min_delta` is 1e-4 by default.)

    Between epochs the rate does not change. It is a function of the recorded history alone, so a run that is resumed
    continues with the rate that it would have had. A learner counts the reductions in its own copy. As a part of
    `Warmup` or `Sequential` it looks at all epochs, those before its turn included.

    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=0)
    >>> schedule.observe(2, History.from_state({"valid": {"Loss": [(1, 0.7), (2, 0.8)]}}))
    >>> schedule.learning_rate(100)
    0.05
    """

    initial: float
    metric: str = "Loss"
    split: str = "valid"
    direction: Direction = "lowest"
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    cooldown: int = 0
    minimum: float = 0.0
    _reductions: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, initial=rate, factor=share, patience=epochs, cooldown=epochs, minimum=rate)
        settle(self, min_delta=not_negative("min_delta of a schedule", self.min_delta, "Leave it out for 0."))
        not_above("minimum", self.minimum, "initial", self.initial, "Exchange the two.")

    def learning_rate(self, update: int) -> float:
        # as torch does, and not by a power: that is the same to the last bit
        return max(math.prod([self.factor] * self._reductions, start=self.initial), self.minimum)

    def observe(self, epoch: int, history: History) -> None:
        """Work out the rate after `epoch` from the values of all epochs so far."""
        sign = self.monitor.sign

        def look(state: _Plateau, _epoch: int, value: float) -> _Plateau:
            reductions, best, waited, resting = state
            if sign * value < best - self.min_delta:
                best, waited = sign * value, 0
            else:
                waited += 1
            if resting:
                resting, waited = resting - 1, 0
            if waited > self.patience:
                return reductions + 1, best, 0, self.cooldown
            return reductions, best, waited, resting

        key = (ReduceOnPlateau, sign, self.min_delta, self.patience, self.cooldown)
        reductions, *_ = self.monitor.values(history).fold(key, look, (0, math.inf, 0, 0), epoch)
        settle(self, _reductions=reductions)

    def state(self) -> Record:
        return {"reductions": self._reductions}

    def restore(self, state: Record) -> None:
        # the record of another kind of schedule knows of none: then the next epoch's end works it out
        reductions = epochs("reductions", state.get("reductions", 0))
        if reductions > _MOST:
            raise RecordError.unusable(f"A plateau lowers its rate at most {_MOST} times.", received=reductions)
        settle(self, _reductions=reductions)
