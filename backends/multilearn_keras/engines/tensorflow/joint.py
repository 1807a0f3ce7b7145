"""Steps that several processes share, as TensorFlow graphs for any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from multilearn.data import flat
from multilearn.protocols import Batch, Shard
from multilearn_keras.engines.joint import Joint, JointOutput
from multilearn_keras.engines.signatures import joint_signature
from multilearn_keras.engines.tensorflow.graphs import GraphStep, left_as_it_is
from multilearn_keras.engines.tensorflow.world import TensorFlowWorld

__all__ = ["JointSteps"]


class JointSteps:
    """Of one engine."""

    def __init__(self, joint: Joint) -> None:
        assert isinstance(joint.world, TensorFlowWorld)
        self._joint, self._world = joint, joint.world
        self._number = self._world.number_of_engine()
        self._steps: dict[Hashable, GraphStep] = {}

    def step(self, kind: str, function: Callable[..., Any], shard: Shard, training: bool) -> GraphStep:
        """What all processes measured of a batch by `function`, (size, words) int32, and what it returned of this one's
        rows. Its last scalar is `numbers`. Where every process has the whole batch it is another graph."""
        whole = shard.whole
        if (kind, whole) in self._steps:
            return self._steps[kind, whole]

        def of_own(batch: Batch, *scalars: tf.Tensor) -> tuple[tf.Tensor, Any]:
            first, total, number, words, wish = tf.unstack(scalars[-1])
            own = Shard(batch, first, total, whole)
            with self._world.numbered(number), self._joint.rows(own, training):
                found = function(batch, *scalars[:-1])
                return self._world.gather_rows(_in_words(flat(found), words, wish)), found

        self._steps[kind, whole] = GraphStep(kind, of_own, left_as_it_is)
        return self._steps[kind, whole]

    def numbers(self, kind: str, shard: Shard, own: Batch, training: bool) -> tf.Tensor:
        """What a step takes besides its batch: (5,) int32."""
        number = self._number_of((kind, shard.whole, joint_signature(own, shard.total)))
        words = 1 + -(-self._joint.row_bytes(shard, training) // 4)
        return tf.constant([shard.first, shard.total, number, words, int(self._world.wish)], tf.int32)

    @contextmanager
    def eagerly(self, shard: Shard | None) -> Iterator[None]:
        """While it lasts, a training step may be computed outside of a graph: of these rows, or of a batch that every
        process has as a whole."""
        own = nullcontext() if shard is None else self._joint.rows(shard, True)
        with self._world.numbered(self._number_of(("check", shard is None))), own:
            yield

    def summed(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The sum over all processes of each, in one of their types: the widest."""
        wide = tf.float64 if any(tensor.dtype == tf.float64 for tensor in tensors) else tf.float32
        together = tf.concat([tf.reshape(tf.cast(tensor, wide), [-1]) for tensor in tensors], 0)
        with self._world.numbered(self._number_of("update")):
            parts = tf.split(self._world.sum(together), [tensor.shape.num_elements() for tensor in tensors])
        return [tf.cast(tf.reshape(part, t.shape), t.dtype) for part, t in zip(parts, tensors, strict=True)]

    def output(self, rows: np.ndarray[Any, Any], shard: Shard, training: bool) -> JointOutput:
        """What all processes measured, and whether one of them has a reason to stop."""
        self._world.agreed = bool(rows[:, 0].any())
        return JointOutput({}, rows[:, 1:].view(np.uint8), shard, training)

    def _number_of(self, kind: Hashable) -> int:
        return self._world.number_of((self._number, kind))


def _in_words(leaves: list[tf.Tensor], words: tf.Tensor, wish: tf.Tensor) -> tf.Tensor:
    """`wish`, and the bytes of all leaves, filled up: (words,) int32."""
    parts = [_bytes_of(tf.convert_to_tensor(leaf)) for leaf in leaves]
    together = tf.concat(parts, 0) if parts else tf.zeros(0, tf.uint8)
    filled = tf.pad(together, [[0, 4 * (words - 1) - tf.size(together)]])
    return tf.concat([[wish], tf.bitcast(tf.reshape(filled, (-1, 4)), tf.int32)], 0)


def _bytes_of(leaf: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.cast(leaf, tf.uint8) if leaf.dtype == tf.bool else tf.bitcast(leaf, tf.uint8), [-1])
