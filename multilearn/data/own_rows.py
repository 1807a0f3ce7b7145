"""Loaders that have divided their data among the processes themselves: each yields its own rows of every batch."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from multilearn.data.nested import flat, mapped
from multilearn.errors import DataError
from multilearn.protocols import Batch, Shard, World

__all__ = ["as_shards", "gathered", "joined"]


def as_shards(batches: Iterator[Batch], world: World, epoch: int) -> Iterator[Shard]:
    """Each process's own rows, as a part of the batches of all: the rows of the first one come first.

    Raises `DataError`, in every process, unless all have as many rows of a batch, and as many batches.
    """
    for batch in batches:
        rows = len(flat(batch)[0])
        _require_equal(f"{rows} rows", world, epoch)
        yield Shard(batch, world.rank * rows, world.size * rows, whole=False)
    _require_equal("no batch", world, epoch)


def joined(shards: Iterator[Shard], world: World) -> Iterator[Batch]:
    """The batches of all processes, which hand over their rows."""
    for shard in shards:
        yield gathered(shard.batch, world)


def gathered(own: Batch, world: World) -> Batch:
    """The rows of all processes, in their order; each waits for all."""
    parts = [pickle.loads(each) for each in world.gather(pickle.dumps(own))]
    columns: Iterator[Any] = map(np.concatenate, zip(*map(flat, parts), strict=True))
    return mapped(lambda _: next(columns), own)


def _require_equal(had: str, world: World, epoch: int) -> None:
    found = [each.decode() for each in world.gather(had.encode())]
    other = next((rank for rank, each in enumerate(found) if each != found[0]), None)
    if other is not None:
        raise DataError(
            "If a loader yields each process's own rows, all have as many of every batch, and as many batches.",
            received=f"{found[0]} on rank 0, and {found[other]} on rank {other}, in epoch {epoch}",
            remedy="Have the last ones padded or left out, as torch's DistributedSampler does; or give fit the data of "
            "all processes, whose batches it divides itself.",
        )
