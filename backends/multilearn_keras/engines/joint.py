"""An engine that shares its batches with those of other processes: what is its part, and what all of them measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np

from multilearn.data import flat, mapped
from multilearn.protocols import Batch, HostOutput, Shard, StepOutput, rows_of
from multilearn_keras.engines.signatures import joint_signature
from multilearn_keras.random.rows import Axes, own_rows, varying_axes
from multilearn_keras.world import KerasWorld, current

__all__ = ["SHARED", "TRAIN_ALONE", "Joint", "JointOutput", "Layout", "Measures", "Tried", "by_number", "items_of"]

SHARED = "If several processes share a batch, the model takes batches of any number of items."
TRAIN_ALONE = "Make it without a fixed batch size, and without state between batches; or train on one device."

Measures = Mapping[str, Mapping[str, Any]]

Tried = tuple[float, Measures]
"""What a step of a few items counts, and what it measures."""


@dataclass(frozen=True, slots=True)
class JointOutput(StepOutput):
    """What every process measured of its rows of a batch, as bytes: (size, n). `measures`: what is the same in all."""

    rows: Any
    shard: Shard
    training: bool


@dataclass(frozen=True)
class _Leaf:
    """A measured array: `shape` without its first axis if that has `of_item` rows for every item."""

    metric: str
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    of_item: int

    def shape_of(self, items: int) -> tuple[int, ...]:
        return (self.of_item * items, *self.shape) if self.of_item else self.shape


@dataclass(frozen=True)
class Layout:
    """What a step measures, as bytes in a row."""

    leaves: Sequence[_Leaf]

    @classmethod
    def of(cls, two: Measures, three: Measures) -> Layout:
        """From what is measured of 2 items and of 3."""
        found = []
        for metric, leaves in two.items():
            for name, leaf in leaves.items():
                few, more = tuple(leaf.shape), tuple(three[metric][name].shape)
                dtype = np.dtype(keras.backend.standardize_dtype(leaf.dtype))
                varies = few != more
                found.append(_Leaf(metric, name, dtype, few[1:] if varies else few, few[0] // 2 if varies else 0))
        return cls(found)

    def nbytes(self, items: int) -> int:
        return sum(leaf.dtype.itemsize * math.prod(leaf.shape_of(items)) for leaf in self.leaves)

    def unpacked(self, row: np.ndarray[Any, Any], items: int) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """What was measured of so many items, out of the bytes of it."""
        measures: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        start = 0
        for leaf in self.leaves:
            shape = leaf.shape_of(items)
            array = np.frombuffer(row, leaf.dtype, math.prod(shape), start).reshape(shape)
            measures.setdefault(leaf.metric, {})[leaf.name] = array
            start += array.nbytes
        return measures


def items_of(batch: Batch, count: int) -> Batch:
    """So many items of a batch, some of them several times if it has fewer."""
    return mapped(lambda leaf: leaf[np.arange(count) % len(leaf)], batch)


def by_number(nested: Any) -> Measures:
    """What a model outputs, in the form of measures."""
    return {"": {str(number): leaf for number, leaf in enumerate(flat(nested))}}


class Joint:
    """What an engine knows of the steps that it shares.

    `tried(items, training)`: what a step of so many items counts and measures, which leaves nothing behind.

    `scale`: by what the loss, times what it counts, is multiplied, so that what goes backward is about as large as that
    of one process: half precision has no range to spare. A power of two, which rounds nothing.
    """

    def __init__(self, world: KerasWorld, rows: int, tried: Callable[[int, bool], Tried], training: bool) -> None:
        self.world = world
        self._axes: dict[bool, Axes] = {}
        self._layouts: dict[bool, Layout] = {}
        self._shard: Shard | None = None
        self.scale = 1.0
        for in_training in (True, False) if training else (False,):
            found: dict[int, Tried] = {}

            def step(items: int, of: bool = in_training, found: dict[int, Tried] = found) -> None:
                found[items] = tried(items, of)

            self._axes[in_training] = varying_axes(step)
            self._layouts[in_training] = Layout.of(found[2][1], found[3][1])
            if in_training and found[2][0] > 0:
                self.scale = 2.0 ** -round(math.log2(found[2][0] / 2 * rows))

    @classmethod
    def of(cls, tried: Callable[[int, bool], Tried], rows: int, training: bool) -> Self | None:
        """None for a process alone."""
        world = current()
        return cls(world, rows, tried, training) if isinstance(world, KerasWorld) else None

    @property
    def part(self) -> float:
        """What one process's rows of the batch count for."""
        return 1 / self.world.size if self._shard is not None and self._shard.whole else 1.0

    @contextmanager
    def rows(self, shard: Shard, training: bool) -> Iterator[Batch]:
        """This process's rows of a joint batch; while it lasts, a step is one of them."""
        self._shard = shard
        try:
            with own_rows(shard, self._axes[training]):
                yield shard.batch
        finally:
            self._shard = None

    def kind(self, batch: Batch) -> Hashable:
        """The signature of the joint batch: what is decided by it is decided alike in every process."""
        rows = len(flat(batch)[0]) if self._shard is None else self._shard.total
        return (self.world.size, joint_signature(batch, rows))

    def largest(self, number: float) -> float:
        """Of all processes' numbers."""
        return self.largest_of([number])[0]

    def largest_of(self, numbers: Sequence[float]) -> list[float]:
        """At each place, the largest of all processes' numbers; not a number if any is none."""
        gathered = [np.frombuffer(each) for each in self.world.gather(np.array(numbers, np.float64).tobytes())]
        return np.max(gathered, axis=0).tolist()

    def row_bytes(self, shard: Shard, training: bool) -> int:
        """How many bytes a process hands over of what it measured: as many as the one with most rows needs."""
        return self._layouts[training].nbytes(shard.total if shard.whole else -(-shard.total // self.world.size))

    def joined(self, output: JointOutput) -> list[np.ndarray[Any, Any]]:
        """What a model outputs for the whole batch; what is no row of it is the first process's."""
        parts = [list(each[""].values()) for each in self._measures(output)]
        leaves = zip(self._layouts[False].leaves, zip(*parts, strict=True), strict=True)
        return [np.concatenate(of_ranks) if leaf.of_item else of_ranks[0] for leaf, of_ranks in leaves]

    def on_host(self, output: JointOutput) -> HostOutput:
        """What each process measured, and all of them together."""
        own, *others = self._measures(output)
        return HostOutput({**own, **mapped(keras.ops.convert_to_numpy, output.measures)}, others)

    def _measures(self, output: JointOutput) -> list[dict[str, dict[str, Any]]]:
        """By process; of one where all had the same rows."""
        layout, size, shard = self._layouts[output.training], self.world.size, output.shard
        rows = np.ascontiguousarray(keras.ops.convert_to_numpy(output.rows))
        if shard.whole:
            return [layout.unpacked(rows[0], shard.total)]
        places = [rows_of(shard.total, rank, size) for rank in range(size)]
        return [layout.unpacked(row, end - first) for row, (first, end, _) in zip(rows, places, strict=True)]
