"""From steps on the device to facts: what steps left there is fetched many at a time, folded, and sent one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from multilearn.errors import NonFiniteLoss
from multilearn.events import Reading, Split, SplitEnded, Stepped
from multilearn.learner.listeners import Listeners
from multilearn.metrics import Loss
from multilearn.metrics.store import MetricStore
from multilearn.protocols import Engine, EvalEngine, HostOutput, Moment, StepOutput
from multilearn.run.training_state import Progress

__all__ = ["NanPolicy", "Pending", "Reporter", "non_finite"]

WINDOW_SECONDS = 0.1
WINDOW_BATCHES = 256

NanPolicy = Literal["stop", "skip", "ignore"]
"""What a training loss that is not finite does: end the run, leave its batch out, or nothing."""

_WAITED = 0.1
"""From what share of the time on that the device is waited for it is the slower one."""

_NAMED = 3
"""Batches with such a loss that get a line of their own in the log; the others are counted."""

_LOSS = Loss()

_log = logging.getLogger("multilearn")


class Pending(NamedTuple):
    """A step whose output is still on the device. `update`: how many updates there were after it; it is a part of the
    update number `part_of`, counted from 0."""

    batch: int
    update: int
    learning_rate: float | None
    items: int | None
    output: StepOutput
    part_of: int = 0


@dataclass
class Reporter:
    """Keeps a window of steps, and sends `listeners` their events.

    A window is sent once it has 256 steps, and once nothing was sent for 100 ms: slow steps are sent one by one,
    each before the next batch is asked for. That is at most one wait for the device in 100 ms. Where it is the device
    that is waited for, the newest step stays in the window, so that the device always has one to work on.
    """

    engine: Engine | EvalEngine
    store: MetricStore
    listeners: Listeners
    policy: NanPolicy
    progress: Progress
    _window: list[Pending] = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)
    _behind: bool = False
    _non_finite: int = 0

    def begin(self, split: Split) -> None:
        """The first batch of an epoch is next."""
        self.engine.verify()
        self._window = []
        self._sent = time.monotonic()
        self.store.begin(split)

    def add(self, split: Split, epoch: int, pending: Pending) -> None:
        """One more step; the window is sent when it is full, or when nothing was sent for 100 ms."""
        window = self._window
        window.append(pending)
        if len(window) >= WINDOW_BATCHES or time.monotonic() - self._sent >= WINDOW_SECONDS:
            self._report(split, epoch, keeping=1 if self._behind else 0)

    def report(self, split: Split, epoch: int) -> None:
        """Fetch what the window holds, all at once, and tell it batch by batch."""
        self._report(split, epoch, keeping=0)

    def _report(self, split: Split, epoch: int, keeping: int) -> None:
        ready = len(self._window) - keeping
        window, self._window = self._window[:ready], self._window[ready:]
        if not window:
            return
        asked, before = time.monotonic(), self._sent
        hosts = self.engine.fetch([pending.output for pending in window])
        now = self._sent = time.monotonic()
        self._behind = now - asked > _WAITED * (now - before)
        seconds = (now - before) / len(window)
        moment = Moment(window[0].learning_rate, seconds, now, window[0].items)
        for pending, host in zip(window, hosts, strict=True):
            batch, update, rate, items, _output, part_of = pending
            if rate != moment.learning_rate or items != moment.items:
                moment = Moment(rate, seconds, now, items)
            bad = non_finite(host) if split is Split.TRAIN else []
            readings = self.store.fold(split, host, moment, not (bad and self.policy == "skip"), part_of)
            self.listeners.tell(Stepped(split, epoch, batch, update, rate, readings, items))
            if bad:
                self._judge(readings[Loss.name].value, bad, epoch, pending)
        self.engine.verify()

    def end(self, split: Split, epoch: int) -> Mapping[str, Reading]:
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
            self.listeners.tell(SplitEnded(split, epoch, readings, self.progress.update))
        return readings

    def _judge(self, loss: float | str, names: list[str], epoch: int, pending: Pending) -> None:
        """What the policy says of a training loss that is not finite, or losses: `names` are theirs."""
        of = f" ({', '.join(names[1:])})" if names[1:] else ""
        where = f"{loss}{of} at batch {pending.batch} of epoch {epoch}, learning rate {pending.learning_rate:.7g}"
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
            done = "the batch is skipped" if self.policy == "skip" else "training continues with it"
            more = "; further ones are only counted" if self._non_finite == _NAMED else ""
            _log.warning("The training loss is %s: %s%s.", where, done, more)


def non_finite(host: HostOutput) -> list[str]:
    """The losses of the batch that are not finite: none, or `Loss` and then those of the turns or outputs that make it
    so, as far as they are measured."""
    parts = (host.measures, *host.others)
    if all(_LOSS.is_finite(part[Loss.name]) for part in parts):
        return []
    losses = {
        name: None
        for part in parts
        for name, measured in part.items()
        if name != Loss.name and measured.keys() == {"loss", "count"} and not _LOSS.is_finite(measured)
    }
    return [Loss.name, *losses]
