"""Several processes on JAX: one program over the devices of all of them."""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from multilearn.data.own_rows import gathered
from multilearn.errors import WorldError
from multilearn.protocols import Batch, LaunchedRank, Shard, patience
from multilearn_keras.world import LaunchedWorld, met_too_late

__all__ = ["JaxWorld", "connected", "peers"]

_NOTICED = 10
"""Seconds after which a process that is not heard of counts as ended; and as long do they wait for all at the end."""

_OF_THIS_ONE = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED")
"""What JAX says of a step that no other process has a part in."""


def connected(place: LaunchedRank) -> JaxWorld:
    """The world of this place. Raises `WorldError` if the others do not come within `patience()` seconds, and
    `BackendError` after JAX was used: it knows its own devices only then."""
    try:
        jax.distributed.initialize(
            f"{place.address}:{place.meeting_port}",
            place.size,
            place.rank,
            initialization_timeout=max(1, round(patience())),
            heartbeat_timeout_seconds=_NOTICED,
            shutdown_timeout_seconds=_NOTICED,
        )
    except RuntimeError as error:
        if "before any JAX" not in str(error):
            raise place.unmet(error) from error
        raise met_too_late() from error
    # after the handlers of the script, and before JAX's own
    atexit.register(_end_if_lost)
    return JaxWorld(place)


class JaxWorld(LaunchedWorld):
    """What a step computes is the same in all processes, and so nothing of it is handed over.

    JAX waits for a process that lives, however long it does nothing, and cannot be interrupted: `gather_words`, which
    every step has one of, ends this process if the others have not come after `patience()` seconds.
    """

    def __init__(self, place: LaunchedRank) -> None:
        super().__init__(place)
        self._patience, self._deadline = patience(), math.inf
        threading.Thread(target=self._watch, name="multilearn-ranks", daemon=True).start()

    def gather_words(self, own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self._deadline = time.monotonic() + self._patience
        try:
            with peers():
                return np.asarray(process_allgather(own))
        finally:
            self._deadline = math.inf

    def _watch(self) -> None:
        while time.monotonic() < self._deadline:
            time.sleep(min(1.0, self._patience))
        late = WorldError(
            f"Ranks wait for one another for {self._patience:g} seconds.",
            received=f"rank {self.rank}, which has waited as long",
            remedy='Look at what the others do, and run it again with .checkpoint("latest"). MULTILEARN_PATIENCE is '
            "how many seconds they wait.",
        )
        print(f"multilearn: {late}", file=sys.stderr, flush=True)
        os._exit(1)

    def whole(self, shard: Shard, own: Batch) -> Batch:
        """All rows of a batch of host arrays, of which this process has its own."""
        return own if shard.whole else gathered(own, self)

    def agree(self) -> None:
        """Whether any process has a reason to stop."""
        self.agreed = bool(self.gather_words(np.array([self.wish], np.int32)).any())

    def leave(self) -> None:
        """Nothing: the others notice when this process ends."""


@contextmanager
def peers() -> Iterator[None]:
    """What another process's end does to what they do together is a `WorldError`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if str(error).startswith(_OF_THIS_ONE):
            raise
        global _lost
        _lost = True
        raise WorldError.of(error) from error


_lost = False
"""Whether another process has ended."""


def _end_if_lost() -> None:
    """JAX would wait for it, and then end this process with pages about it."""
    if _lost:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
