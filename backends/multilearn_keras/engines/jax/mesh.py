"""Several devices as one: the rows of a batch are shared by them, and everything else is on each of them.

A program is written for the whole batch, so that draws, batch statistics and metrics are those of the whole batch, and
XLA adds what the devices do to each other's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from multilearn.data import flat
from multilearn.protocols import Batch

__all__ = ["DeviceMesh"]

T = TypeVar("T")


class DeviceMesh:
    """Devices that share the rows of every batch."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        mesh = Mesh(np.array(devices), ("rows",))
        self._size = len(devices)
        self._rows = NamedSharding(mesh, PartitionSpec("rows"))
        self.everywhere = NamedSharding(mesh, PartitionSpec())

    def share(self, batch: Batch) -> Batch:
        """Equal parts of a batch of host arrays over the devices; if there are none, all of it on each of them.

        It is not filled up and cut inside of the program: XLA cannot partition every model over unequal parts, and ends
        the process for a gradient through a sort (jax 0.10.2).
        """
        lengths = {len(leaf) for leaf in flat(batch)}
        equal = len(lengths) == 1 and not max(lengths) % self._size
        return jax.device_put(batch, self._rows if equal else self.everywhere)

    def replicate(self, values: T) -> T:
        """Arrays on each of the devices; one of them may share memory with `values`."""
        replicated: T = jax.device_put(values, self.everywhere)
        return replicated
