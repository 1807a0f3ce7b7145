"""The engines on TensorFlow: one graph per kind of step and class of batches, for any batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from multilearn.metrics import Metric
from multilearn.protocols import Batch, Output, Shard, StepOutput
from multilearn_keras.engines.compiled import Measures
from multilearn_keras.engines.engine import KerasEngine
from multilearn_keras.engines.joint_check import Named
from multilearn_keras.engines.tensorflow.evaluation import OnTensorFlow, TensorFlowEvalEngine
from multilearn_keras.engines.tensorflow.update import by_kernels
from multilearn_keras.engines.tensorflow.world import peers
from multilearn_keras.engines.tensorflow.written import resources_written
from multilearn_keras.engines.updates import is_usable, sum_dtype
from multilearn_keras.keras_internals import backend_module
from multilearn_keras.state.assignments import Assigned, kept_by_keras, refusal
from multilearn_keras.state.keys import variables

__all__ = ["TensorFlowEngine", "TensorFlowEvalEngine"]


class TensorFlowEngine(OnTensorFlow, KerasEngine):
    """Updates are assignments to the Keras variables, in the graph."""

    def _set_up(self) -> None:
        self._set_up_graphs()
        self._rates: tuple[float, tf.Tensor] | None = None
        self._mapping = [(variable, variable.value) for variable in self._trained]
        self._sums = None
        if self._options.accumulate or self._joint is not None:
            self._sums = [tf.Variable(tf.zeros(v.shape, sum_dtype(v.dtype))) for v in self._trained]
        self._weight = tf.Variable(0.0)
        self._taken = tf.Variable(False)
        xla = self._options.compile == "xla" and self._joint is None
        self._close: Callable[[tf.Tensor], Measures] = self._closed
        self._look: Callable[[], Measures] = self._still_open
        if self._options.capture:
            self._close = tf.function(self._closed, autograph=False, jit_compile=xla)
            self._look = tf.function(self._still_open, autograph=False)

    def _probe(self, batch: Batch, metrics: Sequence[Metric], training: bool) -> Any:
        with resources_written() as written:
            loss = super()._probe(batch, metrics, training)
        self._refuse_written(written, variables(self._task).values())
        return loss

    def _step(self, batch: Batch, training: bool) -> Output:
        if not (training and tf.inside_function()):
            return super()._step(batch, training)
        with resources_written() as written:
            output = super()._step(batch, training)
        self._refuse_written(written, self._state.values())
        return output

    def _refuse_written(self, written: Sequence[tuple[Any, Assigned]], own: Iterable[keras.Variable]) -> None:
        """What Keras assigns is looked at where it does."""
        known = [variable._value.handle for variable in (*own, *kept_by_keras(self._model))]
        if lost := [each for handle, each in written if not any(handle is one for one in known)]:
            raise refusal(lost)

    def _reaches(self, batch: Batch) -> bool:
        with _signs_without_gradient(), tf.GradientTape() as tape:
            loss = self._scoped_loss(batch)
        return any(found is not None for found in tape.gradient(loss, [v.value for v in self._trained]))

    def train_step(self, batch: Batch, lr: float, update: bool) -> StepOutput:
        with self._on_device():
            if self._joint is None:
                output = self._measure("training", self._train, batch, self._rate_of(lr))
            else:
                output, _ = self._joint_step("training", self._train, batch, self._rate_of(lr), training=True)
        measures = self._of_window(lr if update else None)
        return output if self._joint is None else replace(output, measures=measures)

    def apply(self, lr: float) -> None:
        self._of_window(lr)

    def _of_window(self, lr: float | None) -> Measures:
        """The update that closes the window, at a rate if it is to be closed; where processes share the batches, what
        is measured of it."""
        with self._on_device(), nullcontext() if self._joint is None else peers():
            if lr is None:
                return self._look() if self._joint is not None and self._options.update_metrics else {}
            return self._close(self._rate_of(lr)) if self._sums is not None else {}

    def gradients_of(self, batch: Batch, shard: Shard | None) -> tuple[Named, Named]:
        assert self._shared is not None
        changed = [*self._state.values(), *kept_by_keras(self._model)]
        before = _read(changed)
        try:
            with self._shared.eagerly(shard):
                self._train(batch, tf.constant(0.0))
            gradients, _ = self._mean(summed=shard is not None)
            return _named(self._trained, gradients), _named(self._statistics, _read(self._statistics))
        finally:
            for variable, old in zip(changed, before, strict=True):
                variable.assign(old)

    def _rate_of(self, lr: float) -> tf.Tensor:
        """The learning rate as a tensor: that of the last step, if it is the same."""
        if self._rates is None or self._rates[0] != lr:
            self._rates = lr, tf.constant(lr, tf.float32)
        return self._rates[1]

    def _train(self, batch: Batch, lr: tf.Tensor) -> Measures:
        gradients, count, measures, usable = self._gradients(batch)
        if self._sums is not None:
            self._add(self._sums, gradients, count, usable)
        if self._joint is None and self._options.update_metrics:
            found = (gradients, None) if self._sums is None else (self._averages(summed=False), self._taken)
            measures = {**measures, **self._of_update(found[0], _read(self._trained), found[1])}
        if self._sums is None:
            self._apply(gradients, lr, usable)
        return measures

    def _closed(self, lr: tf.Tensor) -> Measures:
        """The update by the mean gradient of a window, which is emptied."""
        gradients, taken = self._mean(summed=self._joint is not None)
        measures = {} if self._joint is None else self._of_update(gradients, _read(self._trained), taken)
        self._apply(gradients, lr, taken)
        return measures

    def _still_open(self) -> Measures:
        """What is measured of a window that processes share and that stays open: its sums stay those of each."""
        return self._of_update(self._averages(summed=True), _read(self._trained), self._taken)

    def _mean(self, summed: bool) -> tuple[list[tf.Tensor], Any]:
        """The mean gradients of a window, and whether any batch was usable, if that is asked. It is emptied."""
        mean = self._averages(summed)
        taken = self._taken.read_value() if self._options.skip_non_finite else None
        for total in (*(self._sums or ()), self._weight, self._taken):
            total.assign(tf.zeros_like(total))
        return mean, taken

    def _averages(self, summed: bool) -> list[tf.Tensor]:
        """The mean gradients of a window by count. `summed`: over what all processes have of them.

        Nothing counted at all: the sums are zero, and so is the mean.
        """
        sums, weight = [tf.convert_to_tensor(total) for total in self._sums or ()], tf.convert_to_tensor(self._weight)
        if summed and self._shared is not None:
            *sums, weight = self._shared.summed([*sums, weight])
        weight = tf.where(tf.equal(weight, 0.0), 1.0, weight)
        return [
            tf.cast(total / tf.cast(weight, total.dtype), v.dtype) for total, v in zip(sums, self._trained, strict=True)
        ]

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Any, Measures, Any]:
        """Gradients, count, measures, and whether the batch is usable: None if that is not asked."""
        before = _read(self._statistics) if self._options.skip_non_finite else []
        with tf.GradientTape() as tape:
            output = self._step(batch, True)
            loss, count = output.loss, ops.cast(output.count, "float32")
            if self._joint is not None:
                # before the backward pass: with shared statistics a gradient is of the rows of other processes too
                count = count * (self._joint.part * self._joint.scale)
                loss = loss * ops.cast(count, loss.dtype)
            loss = self._optimizer.scale_loss(loss)
        found = tape.gradient(
            loss, [v.value for v in self._trained], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # dense: of slices, Keras squares and clips each occurrence of a row by itself, here and nowhere else
        gradients = [tf.convert_to_tensor(g) for g in found]
        usable = None
        if self._options.skip_non_finite:
            usable = is_usable(self._optimizer, output.loss, gradients)
            if self._joint is not None:
                usable = tf.equal(self._joint.world.summed(tf.cast(~usable, tf.float32)), 0.0)
            _keep_unless(usable, self._statistics, before)
        return gradients, count, self._measured(self._options.train_metrics, output), usable

    def _add(self, sums: list[tf.Variable], gradients: list[tf.Tensor], count: Any, usable: Any) -> None:
        if usable is not None:
            # not a product with zero: that of NaN is NaN
            gradients = [tf.where(usable, gradient, tf.zeros_like(gradient)) for gradient in gradients]
            count = tf.where(usable, count, 0.0)
            self._taken.assign(self._taken | usable)
        for total, gradient in zip(sums, gradients, strict=True):
            gradient = tf.cast(gradient, total.dtype)
            # where processes share the batch they are the gradients times the count already
            total.assign_add(gradient if self._joint is not None else gradient * tf.cast(count, total.dtype))
        self._weight.assign_add(count)

    def _apply(self, gradients: list[tf.Tensor], lr: tf.Tensor, usable: Any) -> None:
        touched = [*self._trained, *self._optimizer.variables] if usable is not None else []
        before = _read(touched)
        self._rate.value.assign(tf.cast(lr, self._rate.dtype))
        with by_kernels(self._optimizer):
            self._optimizer.apply(gradients, self._trained)
        with self._rate_guard.opened():
            _keep_unless(usable, touched, before)


@contextmanager
def _signs_without_gradient() -> Iterator[None]:
    """Meanwhile `keras.ops.sign` has none, as on JAX: TensorFlow has zeros for it, which any loss may have once."""
    keras_numpy = backend_module("numpy")
    original = keras_numpy.sign
    keras_numpy.sign = lambda x: tf.stop_gradient(original(x))
    try:
        yield
    finally:
        keras_numpy.sign = original


def _named(variables: Sequence[keras.Variable], tensors: Sequence[tf.Tensor]) -> Named:
    """On the host, by the paths of the variables."""
    return {variable.path: tensor.numpy() for variable, tensor in zip(variables, tensors, strict=True)}


def _read(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    return [tf.identity(variable.value) for variable in variables]


def _keep_unless(usable: Any, variables: Sequence[keras.Variable], before: Sequence[tf.Tensor]) -> None:
    """Put `before` back into the variables unless `usable`."""
    for variable, old in zip(variables, before, strict=True):
        variable.assign(tf.where(usable, tf.convert_to_tensor(variable.value), old))
