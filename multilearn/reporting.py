"""From steps on the device to facts: what steps left there is fetched many at a time, folded, and told one by one."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from multilearn.errors import NonFiniteLoss
from multilearn.events import Reading, Split, SplitEnded, Stepped
from multilearn.listeners import Listeners
from multilearn.metrics import Loss
from multilearn.metrics.metric import Moment
from multilearn.metrics.store import MetricStore
from multilearn.progress import Progress
from multilearn.protocols import Engine, EvalEngine, HostOutput, StepOutput

__all__ = ["NanPolicy", "Pending", "Reporter"]

WINDOW_SECONDS = 0.1
WINDOW_BATCHES = 256

NanPolicy = Literal["stop", "skip", "ignore"]
"""What a training loss that is not finite does: end the run, leave its batch out, or nothing."""

_NAMED = 3
"""Batches with such a loss that get a line of their own in the log; the others are counted."""

_log = logging.getLogger("multilearn")
_loss = Loss()


@dataclass(frozen=True, slots=True)
class Pending:
    """A step whose output is still on the device."""

    batch: int
    update: int
    learning_rate: float | None
    output: StepOutput


@dataclass
class Reporter:
    """Keeps a window of steps, and tells `listeners` of them. `shown`: the metrics that were registered."""

    engine: Engine | EvalEngine
    store: MetricStore
    listeners: Listeners
    shown: Mapping[Split, frozenset[str]]
    policy: NanPolicy
    progress: Progress
    _window: list[Pending] = field(default_factory=list)
    _opened: float = 0.0
    _told: float = field(default_factory=time.monotonic)
    _non_finite: int = 0

    def begin(self, split: Split) -> None:
        """The first batch of an epoch is next."""
        self._window = []
        self._told = time.monotonic()
        self.store.begin(split)

    def add(self, split: Split, epoch: int, pending: Pending) -> None:
        """One more step; the window is told of when it is full, or 100 ms old."""
        now = time.monotonic()
        if not self._window:
            self._opened = now
        self._window.append(pending)
        if len(self._window) >= WINDOW_BATCHES or now - self._opened >= WINDOW_SECONDS:
            self.report(split, epoch)

    def report(self, split: Split, epoch: int) -> None:
        """Fetch what the window holds, all at once, and tell it batch by batch."""
        window, self._window = self._window, []
        hosts = self.engine.fetch([pending.output for pending in window]) if window else ()
        now, before = time.monotonic(), self._told
        self._told = now
        for pending, host in zip(window, hosts, strict=True):
            bad = split is Split.TRAIN and _is_non_finite(host)
            moment = Moment(pending.learning_rate, (now - before) / len(window), now)
            readings = self.store.fold(split, host, moment, counted=not (bad and self.policy == "skip"))
            self.listeners.tell(
                Stepped(
                    split, epoch, pending.batch, pending.update, pending.learning_rate, self._shown(split, readings)
                )
            )
            if bad:
                self._judge(readings[Loss.name].value, epoch, pending)

    def end(self, split: Split, epoch: int) -> None:
        """The last batch of an epoch was added: tell what is left, and the values over the whole epoch."""
        self.report(split, epoch)
        readings = self.store.end(split, epoch)
        if split is Split.TRAIN and self.policy == "skip" and Loss.name not in readings:
            raise NonFiniteLoss(
                "An epoch must have at least one training batch whose loss is finite.",
                received=f"none in epoch {epoch}: all of its batches were skipped",
                remedy="Lower the learning rate, clip the gradients, or look at the data.",
            )
        if readings:
            self.listeners.tell(SplitEnded(split, epoch, self._shown(split, readings)))

    def _judge(self, loss: float | str, epoch: int, pending: Pending) -> None:
        """What the policy says of a training loss that is not finite."""
        where = f"{loss} at batch {pending.batch} of epoch {epoch}, learning rate {pending.learning_rate}"
        if self.policy == "stop":
            raise NonFiniteLoss(
                "The training loss must be finite.",
                received=where,
                remedy="Lower the learning rate, clip the gradients, or look at that batch.",
            )
        self._non_finite += 1
        if self.policy == "skip":
            self.progress.skipped += 1
        if self._non_finite <= _NAMED:
            done = "the batch is skipped" if self.policy == "skip" else "training goes on with it"
            more = "; further ones are only counted" if self._non_finite == _NAMED else ""
            _log.warning("The training loss is %s: %s%s.", where, done, more)

    def _shown(self, split: Split, readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
        return MappingProxyType({name: reading for name, reading in readings.items() if name in self.shown[split]})


def _is_non_finite(host: HostOutput) -> bool:
    loss = _loss.entry(_loss.merge(None, host.measures[Loss.name]))
    return isinstance(loss.value, float) and not math.isfinite(loss.value) and bool(loss.count)
