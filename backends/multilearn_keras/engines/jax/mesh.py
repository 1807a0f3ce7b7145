"""Several devices as one: the rows of a batch are shared by them, and everything else is on each of them.

A program is written for the whole batch, so that draws, batch statistics and metrics are those of the whole batch, and
XLA adds what the devices do to each other's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from multilearn.data import flat, mapped
from multilearn.protocols import Batch

__all__ = ["DeviceMesh", "whole"]

T = TypeVar("T")


@partial(jax.tree_util.register_dataclass, data_fields=["batch"], meta_fields=["items"])
@dataclass(frozen=True)
class _Filled:
    """A batch with copies of its last row behind its `items` rows, for JAX shares equal parts only."""

    batch: Batch
    items: int


class DeviceMesh:
    """Devices that share the rows of every batch."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self._size = len(devices)
        mesh = Mesh(np.array(devices), ("rows",))
        self._rows = NamedSharding(mesh, PartitionSpec("rows"))
        self.everywhere = NamedSharding(mesh, PartitionSpec())

    def share(self, batch: Batch) -> Batch:
        """The rows of a batch of host arrays over the devices; of fewer rows than can be shared, all on each of them.

        `whole` gives the batch back inside of a program. ceil(n / size) rows each, the last device has the rest.
        """
        lengths = {len(leaf) for leaf in flat(batch)}
        rows = max(lengths)
        missing = -rows % self._size
        if len(lengths) > 1 or (missing and rows < self._size * (self._size - 1)):
            return jax.device_put(batch, self.everywhere)
        if missing:
            batch = mapped(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]), batch)
        shared = jax.device_put(batch, self._rows)
        return _Filled(shared, rows) if missing else shared

    def replicate(self, values: T) -> T:
        """Arrays that are on each of the devices: copies, which a step may take over."""
        copied = jax.tree.map(lambda value: jnp.array(value, copy=True), values)
        replicated: T = jax.device_put(copied, self.everywhere)
        return replicated


def whole(batch: Batch) -> Batch:
    """The batch that `share` was given."""
    if not isinstance(batch, _Filled):
        return batch
    return mapped(lambda leaf: jax.lax.slice_in_dim(leaf, 0, batch.items), batch.batch)
