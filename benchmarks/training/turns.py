"""Fits that take turns: each in a thread of its own, one epoch at a time, never two at once."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.training.workloads import Work

__all__ = ["Epoch", "Peer", "Taken", "take_turns"]


@dataclass(frozen=True)
class Epoch:
    """What a fit says of an epoch: exact means over its batches."""

    loss: float
    accuracy: float
    valid_loss: float
    valid_accuracy: float


@dataclass(frozen=True)
class Taken:
    """Seconds on the clock, and of this process' processor time."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Taken:
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, other: Taken) -> Taken:
        return Taken(self.wall - other.wall, self.cpu - other.cpu)


@dataclass
class Peer:
    """One fit. It calls `lap` after each epoch, with nothing left to be done on the device, and waits there."""

    name: str
    work: Work
    fit: Callable[[Peer], None]
    laps: list[Taken] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    first_losses: list[float] = field(default_factory=list)
    """Of each batch of the first epoch, where the fit has them."""
    tail: Taken | None = None
    """From the last epoch to the return of the fit."""
    error: str | None = None
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _done: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _began: Taken = field(default_factory=Taken.now)

    def lap(self, epoch: Epoch) -> None:
        """An epoch is over: the others' turn."""
        self.laps.append(Taken.now() - self._began)
        self.epochs.append(epoch)
        self._done.release()
        self._go.acquire()
        self._began = Taken.now()

    def turn(self) -> None:
        """Let it go on until its next lap, or its end."""
        self._go.release()
        self._done.acquire()

    @property
    def over(self) -> bool:
        return self.tail is not None

    def run(self) -> None:
        self._go.acquire()
        self._began = Taken.now()
        try:
            self.fit(self)
        except Exception:
            self.error = traceback.format_exc()
        self.tail = Taken.now() - self._began
        self._done.release()


def take_turns(peers: Sequence[Peer]) -> None:
    """Run all fits to their ends, epoch by epoch, beginning with another one each time."""
    gc.collect()
    gc.freeze()  # what is not garbage now need not be looked at again in the middle of a measurement
    threads = [threading.Thread(target=peer.run, name=peer.name, daemon=True) for peer in peers]
    for thread in threads:
        thread.start()
    first = 0
    while going := [peer for peer in peers if not peer.over]:
        for place in range(len(going)):
            going[(place + first) % len(going)].turn()
        first += 1
    for thread in threads:
        thread.join()
