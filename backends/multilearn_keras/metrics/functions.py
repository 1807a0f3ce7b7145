"""A metric of Keras as functions of the values of its variables."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from multilearn.protocols import Measured, State, Tensor
from multilearn_keras.metrics.inputs import is_of_keras

__all__ = ["MetricFunctions"]

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")

_SAMPLE = ("y_true", "y_pred")


class MetricFunctions:
    """The values of the variables are numpy arrays, outside of a step: nothing is kept between calls.

    `adds`: whether an update is known to add to every variable a number that does not depend on the variables, so that
    the updates of batches, made in their steps, can be summed. Those of all metrics of Keras do; of no other class is
    it known. On torch it must not look at values either, since a step that does so is no graph.
    """

    def __init__(self, metric: keras.metrics.Metric) -> None:
        self._metric = metric
        self._initial: list[Array] | None = None
        self._is_tried = False
        self._lock = threading.Lock()
        parameters = inspect.signature(metric.update_state).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        self._weighted = "sample_weight" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
        of_keras = is_of_keras(type(metric)) and is_of_keras(getattr(metric, "_fn", keras.metrics.Metric))
        self.adds = of_keras and self._weighted
        self._is_mean = of_keras and type(metric).result is keras.metrics.Mean.result
        self._is_built = bool(metric.variables) and getattr(metric, "_built", True)
        compiled = _compiler()
        self._update: Callable[..., Any] = compiled(metric.stateless_update_state)
        self._result: Callable[..., Any] = compiled(metric.stateless_result)

    def measured(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """In a step: what a batch adds to the variables, by their numbers, and the batch's own value if it is one."""
        if not self._is_tried:
            sample = {name: _one_item(ops.convert_to_tensor(tensor)) for name, tensor in inputs.items()}
            self.initial(sample)
            self.adds, self._is_tried = _apart(self._is_traceable, sample), True
        if not self.adds:
            return dict(inputs)
        zeros = [ops.zeros(variable.shape, variable.dtype) for variable in self._metric.variables]
        variables = self._metric.stateless_update_state(zeros, **self._named(inputs))
        found = {str(number): variable for number, variable in enumerate(variables)}
        if not self._is_mean:
            result = keras.tree.flatten(self._metric.stateless_result(variables))
            if len(result) == 1 and tuple(result[0].shape) == ():
                found["value"] = result[0]
        return found if self._is_built else {**found, **{name: inputs[name][:1] for name in _SAMPLE}}

    def added(self, state: State | None, measured: Measured) -> State:
        """The state after one more batch, of which `measured` is known: sums in float64, or in whole numbers."""
        found = [_wide(measured[str(number)]) for number in range(sum(name.isdecimal() for name in measured))]
        if state is None:
            sample = {name: np.array(measured[name]) for name in _SAMPLE if name in measured}
            value = float(measured["value"]) if "value" in measured else None
            return {"variables": found, "sample": sample, "value": value}
        variables = [_wide(before) + more for before, more in zip(state["variables"], found, strict=True)]
        return {"variables": variables, "sample": state["sample"], "value": None}

    def initial(self, sample: Measured) -> list[Array]:
        """The values at the beginning. Some metrics make their variables when they see the first item: `sample`."""
        with self._lock:
            if self._initial is None:
                self._initial = _apart(self._made, sample)
        return self._initial

    def updated(self, values: Sequence[Array], measured: Measured) -> list[Array]:
        """The values after one more batch."""
        inputs = {name: np.asarray(array) for name, array in measured.items()}
        with keras.device("cpu:0"):
            return list(map(_array, self._update(self._tensors(values), **self._arguments(inputs))))

    def result(self, values: Sequence[Array]) -> Any:
        """What the metric makes of the values of its variables."""
        if self._is_mean:
            total, count = values
            return np.divide(total, count) if count else np.zeros(())
        with keras.device("cpu:0"):
            return keras.tree.map_structure(_array, self._result(self._tensors(values)))

    def _made(self, sample: Measured) -> list[Array]:
        if not self._is_built:
            with keras.device("cpu:0"):
                self._metric.update_state(**self._arguments(sample))
                self._metric.reset_state()
        return list(map(_array, self._metric.stateless_reset_state()))

    def _is_traceable(self, sample: Measured) -> bool:
        if keras.backend.backend() != "torch":
            return True
        from multilearn_keras.torch_tracing import CannotCapture, trace

        arguments, before = self._arguments(sample), self._tensors(self.initial(sample))

        def update(tensors: Sequence[Any]) -> Any:
            return self._metric.stateless_update_state(before, **dict(zip(arguments, tensors, strict=True)))

        try:
            trace(update, list(arguments.values()))
        except CannotCapture:
            return False
        return True

    def _tensors(self, values: Sequence[Array]) -> list[Any]:
        pairs = zip(values, self._metric.variables, strict=True)
        if keras.backend.backend() == "jax":
            # a compiled function takes them as they are
            return [np.asarray(value, variable.dtype) for value, variable in pairs]
        return [ops.convert_to_tensor(value, dtype=variable.dtype) for value, variable in pairs]

    def _arguments(self, inputs: Measured) -> dict[str, Any]:
        """Of arrays; a metric that takes no weights is not shown the items that weigh nothing."""
        weights = inputs.get("weights")
        if weights is not None and not self._weighted:
            inputs = {name: inputs[name][weights > 0] for name in _SAMPLE}
        return {name: ops.convert_to_tensor(array) for name, array in self._named(inputs).items()}

    def _named(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        named = {name: inputs[name] for name in _SAMPLE}
        return {**named, "sample_weight": inputs["weights"]} if "weights" in inputs else named


def _apart(function: Callable[[Measured], Result], sample: Measured) -> Result:
    """In a thread of its own, which is not in the middle of tracing a step."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, sample).result()


def _compiler() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What makes a function of arrays quick: op by op, TensorFlow and JAX would take most of a training step."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return partial(tf.function, autograph=False, reduce_retracing=True)
    return lambda function: function


def _one_item(tensor: Tensor) -> Array:
    """Zeros like the first item of a batch, as a batch."""
    return np.zeros((1, *(size or 1 for size in tensor.shape[1:])), keras.backend.standardize_dtype(tensor.dtype))


def _array(value: Any) -> Array:
    return np.array(ops.convert_to_numpy(value))


def _wide(value: Any) -> Array:
    array = np.asarray(value)
    return array.astype(np.int64 if array.dtype.kind in "biu" else np.float64)
