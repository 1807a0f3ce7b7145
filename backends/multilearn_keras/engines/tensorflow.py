"""The engine on TensorFlow: one `tf.function` per kind of step and shape of an item, for any batch size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from multilearn.data import leaves, mapped
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
            batch = self._prepared(batch)
            step = self._step("update" if update else "accumulate", batch)
            return StepOutput(step(_flat(batch), tf.constant(lr, tf.float32)))

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            batch = self._prepared(batch)
            return StepOutput(self._step("evaluate", batch)(_flat(batch)))

    def _step(self, kind: str, batch: Batch) -> Callable[..., Any]:
        """The compiled step for batches like this one, which takes their arrays in a list: None is no tensor."""
        key = kind, repr(mapped(_item, batch))
        if key not in self._compiled:
            signature = [tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype) for leaf in _flat(batch)]
            functions: dict[str, Callable[..., Any]] = {
                "update": self._update,
                "accumulate": self._accumulate,
                "evaluate": self._evaluate,
            }
            function = functions[kind]
            structure = mapped(_item, batch)

            def step(arrays: list[tf.Tensor], *lr: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
                following = iter(arrays)
                return function(mapped(lambda _: next(following), structure), *lr)

            rate = [] if kind == "evaluate" else [tf.TensorSpec((), tf.float32)]
            self._compiled[key] = tf.function(step, input_signature=[signature, *rate], autograph=False)
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


def _flat(batch: Batch) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(leaf) for _, leaf in leaves(batch)]


def _item(leaf: Any) -> str:
    """What an array has to have in common with another one to go through the same graph."""
    return f"{leaf.dtype} {leaf.shape[1:]}"
