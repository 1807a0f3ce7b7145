"""Several processes on JAX: one program over the devices of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from multilearn.data import flat, mapped
from multilearn.errors import BackendError, WorldError
from multilearn.protocols import Batch, LaunchedRank, Shard, World, patience

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
        raise BackendError(
            "On JAX several processes meet before the first array is made.",
            received="a model, or another array, made before multilearn's backend was loaded",
            remedy="Call multilearn.set_seed(n) before the model is made: it loads the backend.",
        ) from error
    return JaxWorld(place)


class JaxWorld(World):
    """What a step computes is the same in all processes, and so nothing of it is handed over."""

    def __init__(self, place: LaunchedRank) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size

    def gather(self, value: bytes) -> Sequence[bytes]:
        with peers():
            lengths = process_allgather(np.int32(len(value)))
            # few sizes, for each of which a program is compiled
            longest = 1 << int(lengths.max()).bit_length()
            rows = process_allgather(np.frombuffer(value.ljust(longest, b"\0"), np.uint8))
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]

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
        with peers():
            self.agreed = bool(process_allgather(np.int32(self.wish)).any())

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
