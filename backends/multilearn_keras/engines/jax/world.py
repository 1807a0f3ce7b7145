"""Several processes on JAX: one program over the devices of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from multilearn.data import flat, mapped
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
    return JaxWorld(place)


class JaxWorld(LaunchedWorld):
    """What a step computes is the same in all processes, and so nothing of it is handed over."""

    def gather_words(self, own: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with peers():
            return np.asarray(process_allgather(own))

    def whole(self, shard: Shard, own: Batch) -> Batch:
        """All rows of a batch of host arrays, of which this process has its own."""
        if shard.whole:
            return own
        parts = [self.gather(np.ascontiguousarray(leaf).tobytes()) for leaf in flat(own)]
        joined = iter(parts)

        def of_all(leaf: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.frombuffer(b"".join(next(joined)), leaf.dtype).reshape(shard.total, *leaf.shape[1:])

        return mapped(of_all, own)

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
        raise WorldError.of(error) from error
