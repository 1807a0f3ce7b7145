"""When a stopping rule is asked, and what follows if it has a reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from multilearn.early_stopping import StoppingRule, time_limit_of
from multilearn.events import START
from multilearn.history import History
from multilearn.learner.interrupter import Interrupter
from multilearn.run.training_state import Progress

__all__ = ["RuleWatch"]

_log = logging.getLogger("multilearn")


@dataclass
class RuleWatch:
    """Asks `rule` after every epoch, and its time limit after every batch; if it has a reason, `interrupter` stops.

    It keeps the time that `progress` counts. `stopped`: whether the reason of the interrupter is that of the rule.
    """

    rule: StoppingRule | None
    interrupter: Interrupter
    progress: Progress
    history: Callable[[], History]
    stopped: bool = False
    _began: float = 0.0

    def __post_init__(self) -> None:
        self._limit = None if self.rule is None else time_limit_of(self.rule)

    def begin(self, completed: bool) -> None:
        """Start the clock. A run that is resumed and that the rule would have stopped stays stopped."""
        if self.rule is None:
            return
        self._began = time.monotonic() - (self.progress.seconds or 0.0)
        position = self.progress.position
        rule = self.rule if position.batch is None else self._limit
        if rule is None or completed or position == START:
            return
        self._ask(rule, position.finished_epochs)
        if self.interrupter.reason is not None:
            _log.warning("Nothing is trained: the rule of early stopping already applies, %s.", self.interrupter.reason)

    def time(self) -> None:
        """Ask for the stop when the time limit is over: it does not wait for the end of an epoch."""
        if self.rule is None or self.progress.seconds is None:
            return
        seconds = self.progress.seconds = time.monotonic() - self._began
        if self._limit is not None and seconds >= self._limit.total:
            self._ask(self._limit, self.progress.position.finished_epochs)

    def epoch(self, epoch: int, completed: bool) -> None:
        """Ask for the stop when the rule has a reason after `epoch`, and it is not the last."""
        if self.progress.seconds is not None:
            self.progress.seconds = time.monotonic() - self._began
        if self.rule is not None and not completed:
            self._ask(self.rule, epoch)

    def _ask(self, rule: StoppingRule, epoch: int) -> None:
        reason = rule.reason(self.history(), epoch, self.progress.seconds or 0.0)
        if reason is not None:
            self.interrupter.stop(reason)
            # the first reason stays, and it may be another one
            self.stopped = self.interrupter.reason is reason
