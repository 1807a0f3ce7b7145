"""The engine on TensorFlow: one `tf.function` per kind of step and shape of an item, for any batch size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multilearn.data import mapped
from multilearn.protocols import Batch, StepOutput
from multilearn_keras.engines.engine import KerasEngine

__all__ = ["TensorFlowEngine"]


class TensorFlowEngine(KerasEngine):
    """Steps are traced with an unknown batch size from the start: a ragged batch retraces nothing,
    and a resumed run runs the same graphs as the one it goes on from."""

    def _set_up(self) -> None:
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self._sums = [tf.Variable(tf.zeros_like(v.value)) for v in self._trained] if self._options.accumulate else None
        self._weight = tf.Variable(0.0)

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        with self._on_device():
            batch = mapped(tf.convert_to_tensor, self._prepared(batch))
            return StepOutput(self._step("update" if update else "accumulate", batch)(batch, tf.constant(lr)))

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            batch = mapped(tf.convert_to_tensor, self._prepared(batch))
            return StepOutput(self._step("evaluate", batch)(batch))

    def _step(self, kind: str, batch: Batch) -> Callable[..., Any]:
        specs = keras.tree.map_structure(lambda leaf: tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype), batch)
        key = kind, repr(specs)
        if key not in self._compiled:
            signature = [specs] if kind == "evaluate" else [specs, tf.TensorSpec((), tf.float32)]
            function = {"update": self._update, "accumulate": self._accumulate, "evaluate": self._evaluate}[kind]
            self._compiled[key] = tf.function(function, input_signature=signature, autograph=False)
        return self._compiled[key]

    def _update(self, batch: Batch, lr: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        gradients, count, measures = self._gradients(batch)
        if self._sums is not None:
            self._add(gradients, count)
            # nothing counted at all: the sums are zero, and so is the mean
            weight = tf.where(tf.equal(self._weight, 0.0), 1.0, self._weight)
            gradients = [total / tf.cast(weight, total.dtype) for total in self._sums]
        self._rate.assign(lr)
        self._optimizer.apply(gradients, self._trained)
        if self._sums is not None:
            for total in (*self._sums, self._weight):
                total.assign(tf.zeros_like(total))
        return measures

    def _accumulate(self, batch: Batch, lr: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        gradients, count, measures = self._gradients(batch)
        self._add(gradients, count)
        return measures

    def _evaluate(self, batch: Batch) -> dict[str, dict[str, tf.Tensor]]:
        return self._evaluated(batch, self._options.eval_metrics)

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Any, dict[str, dict[str, tf.Tensor]]]:
        with tf.GradientTape() as tape:
            output = self._task.step(batch, True)
            loss = self._optimizer.scale_loss(output.loss)
        found = tape.gradient(
            loss, [v.value for v in self._trained], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return (
            [tf.convert_to_tensor(g) for g in found],
            output.count,
            self._measured(self._options.train_metrics, output),
        )

    def _add(self, gradients: list[tf.Tensor], count: Any) -> None:
        count = ops.cast(count, "float32")
        for total, gradient in zip(self._sums or (), gradients, strict=True):
            total.assign_add(gradient * tf.cast(count, gradient.dtype))
        self._weight.assign_add(count)
