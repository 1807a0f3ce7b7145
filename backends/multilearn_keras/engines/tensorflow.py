"""The engines on TensorFlow: one `tf.function` per kind of step and shape of an item, for any batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multilearn.data import leaves, mapped
from multilearn.protocols import Batch, StepOutput
from multilearn_keras.engines.engine import KerasEngine, sum_dtype
from multilearn_keras.engines.evaluation import KerasEvalEngine
from multilearn_keras.engines.opened import OpenedModel

__all__ = ["TensorFlowEngine", "TensorFlowEvalEngine"]

Measures = dict[str, dict[str, tf.Tensor]]


class _InGraphs(OpenedModel):
    """Steps are traced with an unknown batch size from the start: a ragged batch retraces nothing,
    and a resumed run runs the same graphs as the one it goes on from."""

    _compiled: dict[Any, Callable[..., Any]]

    def _run(self, function: Callable[..., Any], batch: Batch, *scalars: tf.Tensor) -> Any:
        """What `function` makes of a prepared batch, compiled for batches like this one."""
        if not self._options.capture:
            return function(mapped(tf.convert_to_tensor, batch), *scalars)
        key = function, repr(mapped(_item, batch))
        if key not in self._compiled:
            self._compiled[key] = _compiled(function, batch, scalars)
        return self._compiled[key](_flat(batch), *scalars)


class TensorFlowEngine(_InGraphs, KerasEngine):
    """Updates are assignments to the Keras variables, in the graph."""

    def _set_up(self) -> None:
        self._compiled = {}
        self._live = [(variable, variable.value) for variable in self._trained]
        self._sums = None
        if self._options.accumulate:
            self._sums = [tf.Variable(tf.zeros(v.shape, sum_dtype(v.dtype))) for v in self._trained]
        self._weight = tf.Variable(0.0)
        self._taken = tf.Variable(False)

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        with self._on_device():
            step = self._update if update else self._accumulate
            return StepOutput(self._run(step, self._prepared(batch), tf.constant(lr, tf.float32)))

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            return StepOutput(self._run(self._evaluate, self._prepared(batch)))

    def _update(self, batch: Batch, lr: tf.Tensor) -> Measures:
        gradients, count, measures, usable = self._gradients(batch)
        if self._sums is not None:
            self._add(gradients, count, usable)
            # nothing counted at all: the sums are zero, and so is the mean
            weight = tf.where(tf.equal(self._weight, 0.0), 1.0, self._weight)
            gradients = [
                tf.cast(total / tf.cast(weight, total.dtype), v.dtype)
                for total, v in zip(self._sums, self._trained, strict=True)
            ]
            usable = None if usable is None else self._taken.read_value()
        self._apply(gradients, lr, usable)
        if self._sums is not None:
            for total in (*self._sums, self._weight, self._taken):
                total.assign(tf.zeros_like(total))
        return measures

    def _accumulate(self, batch: Batch, lr: tf.Tensor) -> Measures:
        gradients, count, measures, usable = self._gradients(batch)
        self._add(gradients, count, usable)
        return measures

    def _evaluate(self, batch: Batch) -> Measures:
        return self._evaluated(batch, self._options.eval_metrics, self._live)

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Any, Measures, Any]:
        """Gradients, count, measures, and whether the batch is usable: None where that is not asked."""
        before = _read(self._statistics) if self._options.skip_non_finite else []
        with tf.GradientTape() as tape:
            output = self._task.step(batch, True)
            loss = self._optimizer.scale_loss(output.loss)
        found = tape.gradient(
            loss, [v.value for v in self._trained], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # dense: of slices, Keras squares and clips each occurrence of a row by itself, here and nowhere else
        gradients = [tf.convert_to_tensor(g) for g in found]
        usable = None
        if self._options.skip_non_finite:
            usable = self._usable(output.loss, gradients)
            _keep_unless(usable, self._statistics, before)
        return gradients, output.count, self._measured(self._options.train_metrics, output), usable

    def _add(self, gradients: list[tf.Tensor], count: Any, usable: Any) -> None:
        count = ops.cast(count, "float32")
        if usable is not None:
            # not a product with zero: that of NaN is NaN
            gradients = [tf.where(usable, gradient, tf.zeros_like(gradient)) for gradient in gradients]
            count = tf.where(usable, count, 0.0)
            self._taken.assign(self._taken | usable)
        for total, gradient in zip(self._sums or (), gradients, strict=True):
            total.assign_add(tf.cast(gradient, total.dtype) * tf.cast(count, total.dtype))
        self._weight.assign_add(count)

    def _apply(self, gradients: list[tf.Tensor], lr: tf.Tensor, usable: Any) -> None:
        touched = [*self._trained, *self._optimizer.variables] if usable is not None else []
        before = _read(touched)
        self._rate.assign(lr)
        self._optimizer.apply(gradients, self._trained)
        _keep_unless(usable, touched, before)


class TensorFlowEvalEngine(_InGraphs, KerasEvalEngine):
    """The values are captured by the graphs, so other values ask for other graphs."""

    def _set_up(self) -> None:
        self._compiled = {}

    def eval_step(self, batch: Batch) -> StepOutput:
        with self._on_device():
            return StepOutput(self._run(self._evaluate, self._prepared(batch)))

    def predict_step(self, batch: Batch) -> Any:
        with self._on_device():
            return self._run(self._predict, mapped(self._host, self._inputs(batch)))

    def _evaluate(self, batch: Batch) -> Measures:
        return self._evaluated(batch, self._options.eval_metrics, self._pairs(self._values))

    def _predict(self, inputs: Any) -> Any:
        return self._predicted(inputs, self._pairs(self._values))


def _compiled(function: Callable[..., Any], batch: Batch, scalars: Sequence[tf.Tensor]) -> Callable[..., Any]:
    """The function for batches like this one; it takes their arrays in a list: None is no tensor."""
    structure = mapped(_item, batch)

    def step(arrays: list[tf.Tensor], *rest: tf.Tensor) -> Any:
        following = iter(arrays)
        return function(mapped(lambda _: next(following), structure), *rest)

    signature = [tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype) for leaf in _flat(batch)]
    return tf.function(
        step,
        input_signature=[signature, *(tf.TensorSpec(scalar.shape, scalar.dtype) for scalar in scalars)],
        autograph=False,
    )


def _read(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    return [tf.identity(variable.value) for variable in variables]


def _keep_unless(usable: Any, variables: Sequence[keras.Variable], before: Sequence[tf.Tensor]) -> None:
    """Put `before` back into the variables unless `usable`."""
    for variable, old in zip(variables, before, strict=True):
        variable.assign(tf.where(usable, tf.convert_to_tensor(variable.value), old))


def _flat(batch: Batch) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(leaf) for _, leaf in leaves(batch)]


def _item(leaf: Any) -> str:
    """What an array has to have in common with another one to go through the same graph."""
    return f"{leaf.dtype} {leaf.shape[1:]}"
